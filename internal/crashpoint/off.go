//go:build !crashpoint

package crashpoint

// Reach does nothing in the program that people run.
func Reach(Point) {}
