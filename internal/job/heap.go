package job

// heapOf is a heap.Interface that tells its items where they are, -1 for nowhere.
type heapOf[T any] struct {
	items []T
	less  func(a, b T) bool
	moved func(T, int)
}

func (h *heapOf[T]) Len() int           { return len(h.items) }
func (h *heapOf[T]) Less(i, j int) bool { return h.less(h.items[i], h.items[j]) }

func (h *heapOf[T]) Swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	h.moved(h.items[i], i)
	h.moved(h.items[j], j)
}

func (h *heapOf[T]) Push(x any) {
	h.moved(x.(T), len(h.items))
	h.items = append(h.items, x.(T))
}

func (h *heapOf[T]) Pop() any {
	last := len(h.items) - 1
	item := h.items[last]
	var none T
	h.items[last] = none
	h.items = h.items[:last]
	h.moved(item, -1)
	return item
}
