package worker

import "testing"

func TestExpect_NothingIsLeftOfAReleasedOne(t *testing.T) {
	p := New(Options{})
	for _, ids := range [][]string{{"a", "b"}, {"b", "c"}, {"a"}} {
		e := p.Expect(ids)
		p.tell(Done{Job: "a"})
		defer e.Release()
	}
	t.Cleanup(func() {
		if len(p.awaited) != 0 {
			t.Errorf("%d jobs are still awaited", len(p.awaited))
		}
	})
}
