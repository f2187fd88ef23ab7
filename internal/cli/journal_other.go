//go:build !linux

package cli

func tooLarge(error) bool { return false }

func (*journalWriter) sendFile([]byte) error { return nil }
