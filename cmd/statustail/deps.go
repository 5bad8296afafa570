//go:build deps

package main

import (
	_ "github.com/FerretDB/wire"
	_ "github.com/FerretDB/wire/wirebson"
	_ "github.com/chromedp/chromedp"
	_ "github.com/evanw/esbuild/pkg/api"
	_ "github.com/gin-gonic/gin"
	_ "github.com/prometheus/client_golang/prometheus/promhttp"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/sys/unix"
)
