package hook

import (
	"fmt"
	"testing"
)

// BenchmarkRoute finds the hook of a path among 10,000 hooks, one in ten with a parameter.
func BenchmarkRoute(b *testing.B) {
	const hooks = 10_000
	var t routes
	for i := range hooks {
		path := fmt.Sprintf("/hook/%d", i)
		if i%10 == 0 {
			path = fmt.Sprintf("/team%d/{repo}/push", i)
		}
		t.add(&Hook{Path: path})
	}
	for name, path := range map[string]string{"fixed": "/hook/9999", "parameter": "/team9990/site/push", "unknown": "/wp-login.php"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if h, _ := t.lookup(path, ""); (h == nil) != (name == "unknown") {
					b.Fatal(path, h)
				}
			}
		})
	}
}
