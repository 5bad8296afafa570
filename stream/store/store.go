// Package store is the vocabulary of status pages in MongoDB: it loads pages
// in batches, checking every document, and makes the writes behind the
// command line and the admin API. The schema is public: applications write
// the same documents themselves, with any driver, so nothing read here is
// trusted to fit.
//
// It must never know who watches a page, how a page is shown or sent, or how
// changes are noticed.
package store

import (
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"statustail/stream/change"
	"statustail/stream/status"
)

// Config is how a Store is made. Its zero value works.
type Config struct {
	// Logger is told of documents that do not fit the schema; nil discards.
	Logger *slog.Logger
	// Registerer takes the metrics; nil takes none.
	Registerer prometheus.Registerer
	// ReadPreference is where pages are read; nil is the client's own.
	ReadPreference *readpref.ReadPref
	// TextCache bounds the rendered bodies that are kept, in bytes. Zero is
	// 16 MiB.
	TextCache int
	// Reserved says which event names are not for applications; nil: none.
	Reserved func(name string) bool
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// A Store is one database of status pages. It is safe for concurrent use.
type Store struct {
	db       *mongo.Database
	now      func() time.Time
	log      *slog.Logger
	reserved func(string) bool
	invalid  *invalidDocuments
	texts    *textCache

	mu         sync.Mutex
	deployment *deployment // nil until a server has answered
	noMax      bool        // the server has no $max accumulator
}

// New makes a Store of a database. It does no I/O.
//
// Whatever else reads from the deployment should share the database's client:
// the driver tells each server the newest cluster time that the client has
// heard of, so that no member refuses to wait for a position it has not
// reached.
func New(db *mongo.Database, cfg Config) *Store {
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	now := cfg.Now
	if now == nil {
		now = time.Now
	}
	opts := options.Database().
		SetReadConcern(readconcern.Majority()).
		// Journaled on a majority: a change stream shows a write only then,
		// and j makes the servers not wait for the next flush.
		SetWriteConcern(journaledMajority())
	if cfg.ReadPreference != nil {
		opts.SetReadPreference(cfg.ReadPreference)
	}
	return &Store{
		db:       db.Client().Database(db.Name(), opts),
		now:      now,
		log:      log,
		reserved: cfg.Reserved,
		invalid:  newInvalidDocuments(log, cfg.Registerer),
		texts:    newTextCache(cfg.TextCache),
	}
}

func journaledMajority() *writeconcern.WriteConcern {
	wc, journaled := writeconcern.Majority(), true
	wc.Journal = &journaled
	return wc
}

func (s *Store) pages() *mongo.Collection      { return s.db.Collection(change.Pages) }
func (s *Store) components() *mongo.Collection { return s.db.Collection(change.Components) }
func (s *Store) issues() *mongo.Collection     { return s.db.Collection(change.Issues) }
func (s *Store) events() *mongo.Collection     { return s.db.Collection(change.Events) }

// clock is the current time as MongoDB keeps it: in milliseconds.
func (s *Store) clock() time.Time { return s.now().UTC().Truncate(time.Millisecond) }

// cutoff is the moment that issues must not have been over before to be
// loaded.
func (s *Store) cutoff() time.Time { return s.clock().Add(-status.Window) }
