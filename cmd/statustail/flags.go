package main

import (
	"net"
	"net/netip"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
)

// serveConfig are the flags of serve, with their defaults.
type serveConfig struct {
	Listen      []string `default:":8080" placeholder:"ADDR" help:"Where browsers and nginx connect: host:port, unix:/path, or systemd for the sockets of a socket unit. Repeatable."`
	OpsListen   string   `default:"127.0.0.1:9090" placeholder:"ADDR" help:"Health, metrics and the operators' live log. Empty: none."`
	OpsHost     []string `placeholder:"NAME" help:"Names by which operators ask, beside addresses and names of the local network. Repeatable."`
	PprofListen string   `placeholder:"ADDR" help:"Go profiles. Default: none."`

	MongodbURI        string `name:"mongodb-uri" placeholder:"URI" help:"The MongoDB to serve from. Default: an embedded database."`
	Database          string `default:"statustail" placeholder:"NAME" help:"The database in it."`
	Data              string `default:"./statustail-data" placeholder:"DIR" help:"Where the embedded database keeps its files."`
	EmbeddedListen    string `default:"127.0.0.1:27018" placeholder:"ADDR" help:"Where the embedded database listens; loopback only."`
	EmbeddedLogEvents int    `default:"50000" placeholder:"N" help:"How many changes the embedded database keeps for change streams to go on from."`
	EmbeddedLogSize   int    `default:"64" placeholder:"MIB" help:"How much of them it keeps, in MiB, in memory and on disk each."`
	Source            string `default:"auto" placeholder:"SOURCE" enum:"auto,changestream,capped" help:"How changes are noticed: auto, changestream or capped."`
	ReadPreference    string `placeholder:"MODE" help:"Which members pages are read from: primary, primaryPreferred, secondary, secondaryPreferred or nearest. Default: as the URI says."`

	Replay            time.Duration `default:"10m" placeholder:"DUR" help:"How far back a reconnecting browser is sent what it missed."`
	Ping              time.Duration `default:"60s" placeholder:"DUR" help:"How often each subscriber gets a ping_event."`
	Drain             time.Duration `default:"20s" placeholder:"DUR" help:"How long closing takes, so that browsers do not come back all at once."`
	RetryMin          time.Duration `default:"2s" placeholder:"DUR" help:"From when on a browser comes back whose stream has ended."`
	RetryMax          time.Duration `default:"12s" placeholder:"DUR" help:"Until when: each gets a random time between the two. The wider, the gentler."`
	ReloadConcurrency int           `default:"4" placeholder:"N" help:"How many reads of MongoDB may be under way at once."`

	TrustedProxy          []string `placeholder:"CIDR" help:"Proxies whose X-Forwarded-For is believed, beside loopback and Unix sockets. Repeatable."`
	MaxSubscribers        int      `placeholder:"N" help:"Subscribers in all. 0: as many as there are descriptors for."`
	MaxSubscribersPerPage int      `placeholder:"N" help:"Subscribers of one page. 0: no limit."`
	MaxSubscribersPerIP   int      `name:"max-subscribers-per-ip" placeholder:"N" help:"Subscribers from one address, or IPv6 /64. 0: no limit."`
	MaxParked             int      `default:"1024" placeholder:"N" help:"Connections over a limit that are held a while before they are closed."`

	LogFormat string `default:"text" placeholder:"FORMAT" enum:"text,json" help:"text or json."`
	LogLevel  string `default:"info" placeholder:"LEVEL" enum:"debug,info,warn,error" help:"debug, info, warn or error."`
}

// validate checks what the types of the flags do not, and returns a usage
// error.
func (c *serveConfig) validate() error {
	for _, addr := range c.Listen {
		if addr == systemdListen {
			continue
		}
		if err := checkListen("--listen", addr, true); err != nil {
			return err
		}
	}
	for flag, addr := range map[string]string{"--ops-listen": c.OpsListen, "--pprof-listen": c.PprofListen} {
		if addr != "" {
			if err := checkListen(flag, addr, true); err != nil {
				return err
			}
		}
	}
	if err := checkListen("--embedded-listen", c.EmbeddedListen, false); err != nil {
		return err
	}
	if c.MongodbURI != "" {
		if err := checkURI(c.MongodbURI); err != nil {
			return err
		}
	}
	if err := checkDatabase(c.Database); err != nil {
		return err
	}
	if _, err := c.readPreference(); err != nil {
		return err
	}
	if _, err := c.trustedProxies(); err != nil {
		return err
	}
	switch {
	case c.Replay < 0:
		return usagef("--replay must not be negative")
	case c.Ping < time.Second:
		return usagef("--ping must be at least 1s")
	case c.Drain < 0:
		return usagef("--drain must not be negative")
	case c.RetryMin < time.Millisecond || c.RetryMax < c.RetryMin:
		return usagef("--retry-min must be at least 1ms, and --retry-max no shorter")
	case c.EmbeddedLogEvents < 100 || c.EmbeddedLogSize < 1:
		return usagef("--embedded-log-events must be at least 100, and --embedded-log-size 1")
	case c.ReloadConcurrency < 1:
		return usagef("--reload-concurrency must be at least 1")
	case c.MaxSubscribers < 0, c.MaxSubscribersPerPage < 0, c.MaxSubscribersPerIP < 0, c.MaxParked < 0:
		return usagef("limits must not be negative (0 is none)")
	}
	return nil
}

// readPreference is nil when the URI decides.
func (c *serveConfig) readPreference() (*readpref.ReadPref, error) {
	if c.ReadPreference == "" {
		return nil, nil
	}
	mode, err := readpref.ModeFromString(c.ReadPreference)
	if err == nil {
		var rp *readpref.ReadPref
		if rp, err = readpref.New(mode); err == nil {
			return rp, nil
		}
	}
	return nil, usagef("--read-preference %q: want primary, primaryPreferred, secondary, secondaryPreferred or nearest", c.ReadPreference)
}

func (c *serveConfig) trustedProxies() ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for _, s := range c.TrustedProxy {
		p, err := netip.ParsePrefix(s)
		if addr, e := netip.ParseAddr(s); err != nil && e == nil {
			p, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			return nil, usagef("--trusted-proxy %q: want a network such as 10.0.0.0/8, or an address", s)
		}
		prefixes = append(prefixes, p.Masked())
	}
	return prefixes, nil
}

// checkListen accepts host:port and, where allowed, unix:/path.
func checkListen(flag, addr string, unix bool) error {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok && unix {
		if path == "" {
			return usagef("%s %q: want unix:/path", flag, addr)
		}
		return nil
	}
	if _, port, err := net.SplitHostPort(addr); err == nil {
		if _, err := net.LookupPort("tcp", port); err == nil {
			return nil
		}
	}
	if unix {
		return usagef("%s %q: want host:port, such as 127.0.0.1:8080, or unix:/path", flag, addr)
	}
	return usagef("%s %q: want host:port, such as 127.0.0.1:27018", flag, addr)
}

// checkDatabase accepts what MongoDB accepts as the name of a database.
func checkDatabase(name string) error {
	if name == "" || len(name) > 63 || strings.ContainsAny(name, "/\\. \"$*<>:|?\x00") {
		return usagef("--database %q is not the name of a database", name)
	}
	switch name {
	case "admin", "config", "local":
		return usagef("--database %q is MongoDB's own", name)
	}
	return nil
}

// checkURI accepts a MongoDB URI, without asking the network.
func checkURI(uri string) error {
	if strings.HasPrefix(uri, "mongodb+srv://") {
		return nil // its hosts are looked up when it is used
	}
	if err := options.Client().ApplyURI(uri).Validate(); err != nil {
		return usagef("--mongodb-uri is not a MongoDB URI such as mongodb://host:27017/: %s", redact(err.Error(), uri))
	}
	return nil
}
