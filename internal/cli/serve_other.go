//go:build !linux

package cli

import "errors"

func keepOpenFiles() error { return errors.ErrUnsupported }
