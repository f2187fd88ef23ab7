//go:build !linux

package daemon

func roomyMemory(string) bool { return false }
