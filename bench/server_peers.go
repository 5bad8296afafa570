package main

import (
	"net/http"
	"strconv"

	"github.com/dunglas/mercure"
	r3labs "github.com/r3labs/sse/v2"
	gosse "github.com/tmaxmax/go-sse"
	"go.uber.org/zap"
)

// Each peer is set up as its documentation says, without replay (which would
// only slow it down) and with nothing else switched on.

type r3labsServer struct {
	httpServer
	sse *r3labs.Server
}

func newR3labs() server {
	s := &r3labsServer{sse: r3labs.New()}
	s.sse.AutoReplay = false
	s.sse.CreateStream("c")
	s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.RawQuery = "stream=c"
		s.sse.ServeHTTP(w, r)
	})
	return s
}

func (s *r3labsServer) publish(id int, data string) {
	s.sse.Publish("c", &r3labs.Event{ID: []byte(strconv.Itoa(id)), Event: []byte(eventName), Data: []byte(data)})
}

type goSSEServer struct {
	httpServer
	sse *gosse.Server
}

func newGoSSE() server {
	s := &goSSEServer{sse: &gosse.Server{
		OnSession: func(w http.ResponseWriter, _ *http.Request) ([]string, bool) {
			// It writes nothing before the first event.
			w.Header().Set("Content-Type", "text/event-stream")
			w.WriteHeader(http.StatusOK)
			return []string{gosse.DefaultTopic}, http.NewResponseController(w).Flush() == nil
		},
	}}
	s.handler = s.sse
	return s
}

func (s *goSSEServer) publish(id int, data string) {
	m := gosse.Message{ID: gosse.ID(strconv.Itoa(id)), Type: gosse.Type(eventName)}
	m.AppendData(data)
	_ = s.sse.Publish(&m)
}

const mercureTopic = "https://example.com/c"

type mercureServer struct {
	httpServer
	transport *mercure.LocalTransport
}

func newMercure() server {
	s := &mercureServer{transport: mercure.NewLocalTransport()}
	hub, err := mercure.NewHub(
		mercure.WithAnonymous(), mercure.WithTransport(s.transport),
		mercure.WithPublisherJWT([]byte("not used: published in process"), "HS256"),
		mercure.WithLogger(zap.NewNop()), mercure.WithWriteTimeout(0), mercure.WithDispatchTimeout(0), mercure.WithHeartbeat(0),
	)
	if err != nil {
		panic(err)
	}
	s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.RawQuery = "topic=" + mercureTopic
		hub.SubscribeHandler(w, r)
	})
	return s
}

func (s *mercureServer) publish(id int, data string) {
	_ = s.transport.Dispatch(&mercure.Update{Topics: []string{mercureTopic}, Event: mercure.Event{ID: strconv.Itoa(id), Type: eventName, Data: data}})
}
