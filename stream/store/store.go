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
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"statustail/stream/mongodb"
	"statustail/stream/schema"
	"statustail/stream/status"
)

// Config is how a Store is made. Its zero value works.
type Config struct {
	// Logger is told of documents that do not fit the schema; nil discards.
	Logger *slog.Logger
	// Registerer takes the metrics; nil takes none.
	Registerer prometheus.Registerer
	// ReadPreference is where pages are read; nil is the primary.
	ReadPreference *readpref.ReadPref
	// TextCache bounds the rendered bodies that are kept, in bytes. Zero is
	// 16 MiB.
	TextCache int
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// A Store is one database of status pages. It is safe for concurrent use.
type Store struct {
	db      *mongo.Database
	now     func() time.Time
	log     *slog.Logger
	invalid *invalidDocuments
	texts   *textCache
	// secondaries: pages may be read from members that lag.
	secondaries bool
	lagWithin   time.Duration
	// wholeLists: the server cannot cut the lists of what it returns.
	wholeLists atomic.Bool

	mu         sync.Mutex
	deployment mongodb.Deployment // empty until a server has answered
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
	readFrom := cfg.ReadPreference
	if readFrom == nil {
		readFrom = readpref.Primary()
	}
	opts := options.Database().
		SetReadPreference(readFrom).
		SetReadConcern(readconcern.Majority()).
		// Journaled on a majority: a change stream shows a write only then,
		// and j makes the servers not wait for the next flush.
		SetWriteConcern(journaledMajority())
	return &Store{
		db:          db.Client().Database(db.Name(), opts),
		now:         now,
		log:         log,
		invalid:     newInvalidDocuments(log, cfg.Registerer),
		texts:       newTextCache(cfg.TextCache),
		secondaries: readFrom.Mode() != readpref.PrimaryMode,
		lagWithin:   lagWithin,
	}
}

// detect asks the server what it is: until one has answered.
func (s *Store) detect(ctx context.Context) (mongodb.Deployment, error) {
	s.mu.Lock()
	known := s.deployment
	s.mu.Unlock()
	if known != "" {
		return known, nil
	}
	deployment, err := mongodb.Detect(ctx, s.db.Client())
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	s.deployment = deployment
	s.mu.Unlock()
	return deployment, nil
}

func journaledMajority() *writeconcern.WriteConcern {
	wc, journaled := writeconcern.Majority(), true
	wc.Journal = &journaled
	return wc
}

func (s *Store) pages() *mongo.Collection      { return s.db.Collection(schema.Pages) }
func (s *Store) components() *mongo.Collection { return s.db.Collection(schema.Components) }
func (s *Store) issues() *mongo.Collection     { return s.db.Collection(schema.Issues) }
func (s *Store) events() *mongo.Collection     { return s.db.Collection(schema.Events) }

// clock is the current time as MongoDB keeps it: in milliseconds.
func (s *Store) clock() time.Time { return s.now().UTC().Truncate(time.Millisecond) }

// cutoff is the moment that issues must not have been over before to be
// loaded.
func (s *Store) cutoff() time.Time { return s.clock().Add(-status.Window) }
