//go:build !linux

package daemon

func dropStartCode() {}
