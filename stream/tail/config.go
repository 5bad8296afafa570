package tail

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// DefaultReplay is how far back a follower begins unless it is told otherwise.
const DefaultReplay = 10 * time.Minute

// Config is what every follower needs to know.
type Config struct {
	// Client is connected to the deployment. Required. Its read preference
	// and concern are not used: followers choose their own.
	Client *mongo.Client
	// Database is the name of the database to follow. Required.
	Database string
	// Replay is how much history to begin with, as far as the database
	// still has it; DefaultReplay when zero, none when negative.
	Replay time.Duration
	// Logger gets outages, what was skipped, and what is over; nil is
	// slog.Default.
	Logger *slog.Logger
	// Registerer gets the metrics; nil for none. A registerer takes the
	// metrics of one follower only.
	Registerer prometheus.Registerer
}

func (cfg Config) replay() time.Duration {
	if cfg.Replay == 0 {
		return DefaultReplay
	}
	return max(cfg.Replay, 0)
}

func (cfg Config) logger() *slog.Logger {
	if cfg.Logger != nil {
		return cfg.Logger
	}
	return slog.Default()
}
