//go:build !linux

package daemon

func dropProgramPages() {}
