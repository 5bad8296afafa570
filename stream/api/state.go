package api

import (
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

// stateCache lets proxies and browsers keep the state for as long as it takes
// to absorb a crowd, and no longer: a page that turns private, and an origin
// that may no longer read it, count after two seconds. While it is stale, a
// proxy may serve it once more and ask behind (RFC 5861).
const stateCache = "public, max-age=1, stale-while-revalidate=1"

// state serves what a new subscriber would be sent first.
func (a *api) state(c *gin.Context) {
	pg, err := a.find(c)
	if err != nil {
		a.deny(c, err)
		return
	}
	allow(c, pg.Head())
	c.Header("Access-Control-Expose-Headers", "ETag")
	c.Header("Cross-Origin-Resource-Policy", "cross-origin")
	c.Header("X-Content-Type-Options", "nosniff")
	parts, tag := pg.State(time.Now())
	tag = tagFor(tag, c.Writer.Header().Get("Access-Control-Allow-Origin"))
	c.Header("Cache-Control", stateCache)
	c.Header("ETag", tag)
	if matches(c.GetHeader("If-None-Match"), tag) {
		c.Status(http.StatusNotModified)
		return
	}
	c.Header("Content-Type", "application/json; charset=utf-8")
	length := 0
	for _, part := range parts {
		length += len(part)
	}
	c.Header("Content-Length", strconv.Itoa(length))
	c.Status(http.StatusOK)
	for _, part := range parts {
		_, _ = c.Writer.Write(part) // a client that has gone does not matter
	}
}

// tagFor is a tag that changes with what the answer's headers allow, too: a
// cache that asks with it must not go on with what was allowed before.
func tagFor(tag, allowed string) string {
	sum := fnv.New32a()
	sum.Write([]byte(allowed))
	return fmt.Sprintf(`%s.%x"`, strings.TrimSuffix(tag, `"`), sum.Sum32())
}

// matches compares weakly (RFC 9110, 13.1.2).
func matches(ifNoneMatch, tag string) bool {
	for _, t := range strings.Split(ifNoneMatch, ",") {
		t = strings.TrimSpace(t)
		if t == "*" || strings.TrimPrefix(t, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}
