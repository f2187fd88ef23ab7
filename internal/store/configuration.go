package store

import "time"

// Configuration is a version of the configuration that nodes take from the store.
type Configuration struct {
	N       int64 // from 1
	At      time.Time
	Author  string
	Digest  string
	Message string
	Content string // lists are without it
}
