// Package browsertest drives the widget in a real browser, Chromium, against
// a small server whose streams the tests write themselves.
//
// It holds tests only. It must never need the database or the real server;
// those are met in widget/e2e.
package browsertest
