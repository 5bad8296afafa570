package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"statustail/stream/mongodb"
	"statustail/stream/store"
)

const (
	// defaultEmbeddedListen is where serve without --mongodb-uri has its
	// database, and where the other commands look for it.
	defaultEmbeddedListen = "127.0.0.1:27018"
	// reachWithin is how long a command tries to find a database.
	reachWithin = 5 * time.Second
	// commandWithin bounds a command's whole work on the database.
	commandWithin = 30 * time.Second
)

// databaseFlags say which database a command works on.
type databaseFlags struct {
	MongodbURI string `name:"mongodb-uri" placeholder:"URI" help:"The MongoDB to work on. Default: the embedded one of a server on this machine."`
	Database   string `default:"statustail" placeholder:"NAME" help:"The database in it."`
}

// wrote says in one line what a command has written, and where.
func (f *databaseFlags) wrote(a *app, format string, args ...any) {
	where := "at " + address(f.MongodbURI)
	if f.MongodbURI == "" {
		where = "of the server on this machine, at " + a.embedded
	}
	a.note("%s (database %s %s)", fmt.Sprintf(format, args...), f.Database, where)
}

// with does something to the database: connected, and within bounds of time.
func (f *databaseFlags) with(a *app, do func(ctx context.Context, s *store.Store) error) error {
	if err := checkDatabase(f.Database); err != nil {
		return err
	}
	uri := or(f.MongodbURI, "mongodb://"+a.embedded+"/")
	if err := checkURI(uri); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(a.ctx, commandWithin)
	defer cancel()
	client, err := mongo.Connect(options.Client().ApplyURI(uri).
		SetAppName("statustail").SetServerSelectionTimeout(reachWithin))
	if err != nil {
		return unreachable(uri, false, err)
	}
	defer func() {
		// Politeness towards the server, not worth waiting for.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = client.Disconnect(ctx)
	}()
	s := store.New(client.Database(f.Database), store.Config{Logger: logTo(a.stderr)})
	// The store checks what it is given before it asks the database anything,
	// so a mistake is told as one even while there is no database.
	if f.MongodbURI == "" {
		nothing, cancel := context.WithCancel(ctx)
		cancel()
		var mistake *store.InputError
		if err := do(nothing, s); errors.As(err, &mistake) {
			return err
		}
		err = isEmbedded(ctx, client, a.embedded)
	}
	if err == nil {
		err = do(ctx, s)
	}
	switch {
	case err != nil && a.ctx.Err() != nil:
		return a.ctx.Err()
	case mongodb.IsUnreachable(err), err != nil && strings.Contains(err.Error(), "auth error"):
		return unreachable(uri, f.MongodbURI == "", err)
	}
	return err
}

// isEmbedded is nil when a server is what a command looks for that is given no
// address: the embedded database of a statustail. Anything else that has taken
// its port is not to be written to by mistake.
func isEmbedded(ctx context.Context, client *mongo.Client, address string) error {
	var info struct {
		Version    string `bson:"version"`
		GitVersion string `bson:"gitVersion"`
	}
	err := client.Database("admin").RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&info)
	if err == nil && info.GitVersion != "statustail" {
		err = fmt.Errorf("what listens on %s is no embedded database of statustail but a MongoDB %.40s, and was left alone: to use it, name it with --mongodb-uri mongodb://%s/",
			address, info.Version, address)
	}
	return err
}

// unreachable says what to do about a database that does not answer.
func unreachable(uri string, byDefault bool, err error) error {
	var server mongo.ServerError
	switch {
	case errors.As(err, &server) && server.HasErrorCode(18), strings.Contains(err.Error(), "auth error"):
		return fmt.Errorf("MongoDB at %s refused the user or the password: check --mongodb-uri", address(uri))
	case byDefault:
		return fmt.Errorf("cannot reach the embedded database at %s (%s): start statustail here first, or name another MongoDB with --mongodb-uri", address(uri), cause(err, uri))
	}
	return fmt.Errorf("cannot reach MongoDB at %s (%s): check that it is running and that --mongodb-uri is right", address(uri), cause(err, uri))
}

// cause picks what went wrong out of the driver's account of its whole view
// of the deployment, which it gives as text only.
func cause(err error, uri string) string {
	text := err.Error()
	for _, cause := range []string{
		"connection refused", "no such host", "network is unreachable", "no route to host",
		"certificate", "tls:", "connection reset", "i/o timeout",
	} {
		if strings.Contains(text, cause) {
			return strings.TrimSuffix(cause, ":")
		}
	}
	if mongo.IsTimeout(err) || errors.Is(err, context.DeadlineExceeded) {
		return "no answer within " + reachWithin.String()
	}
	return redact(text, uri)
}

// address is the hosts of a URI: what of it may be shown.
func address(uri string) string {
	_, rest, _ := strings.Cut(uri, "://")
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = rest[i+1:]
	}
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		rest = rest[:i]
	}
	return rest
}

// redact takes the credentials of a URI out of a text, as they stand there
// and decoded.
func redact(text, uri string) string {
	_, rest, ok := strings.Cut(uri, "://")
	if !ok {
		rest = uri
	}
	i := strings.LastIndexByte(rest, '@')
	if i < 0 {
		return text
	}
	credentials := rest[:i]
	_, password, _ := strings.Cut(credentials, ":")
	for _, secret := range []string{credentials, password} {
		for _, form := range []string{secret, unescaped(secret)} {
			if form != "" {
				text = strings.ReplaceAll(text, form, "***")
			}
		}
	}
	return text
}

func unescaped(s string) string {
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
