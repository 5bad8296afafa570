//go:build deps

package main

import (
	_ "github.com/FerretDB/wire"
	_ "github.com/FerretDB/wire/wirebson"
	_ "github.com/alecthomas/kong"
	_ "github.com/chromedp/chromedp"
	_ "github.com/evanw/esbuild/pkg/api"
	_ "github.com/gin-gonic/gin"
	_ "github.com/microcosm-cc/bluemonday"
	_ "github.com/prometheus/client_golang/prometheus/promhttp"
	_ "github.com/r3labs/sse/v2"
	_ "github.com/yuin/goldmark"
	_ "go.mongodb.org/mongo-driver/v2/mongo"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/sys/unix"
)
