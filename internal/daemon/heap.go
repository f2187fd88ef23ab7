package daemon

import "runtime/debug"

// heapFloor is how much live memory the garbage collector believes in at least, in bytes. A
// daemon of few hooks lives in a few megabytes, so that the collector, which runs whenever the
// heap has doubled, would run for each of the few hundred deliveries that fit: a sixth of the
// processor under load, and more when jobs wait, all of which it looks at each time. The bytes are
// never written, so the system gives no memory for them; what is paid is that the heap may grow by
// as much again between two runs. Less memory in SQLite's pages pays for it, see openConnection.
const heapFloor = 24 << 20

// raiseHeapFloor returns what must be kept alive for as long as the floor is to hold.
func raiseHeapFloor() []byte { return make([]byte, heapFloor) }

// forgetStart gives back the memory that the start needed and the daemon does not.
func forgetStart() {
	debug.FreeOSMemory()
	dropProgramPages() // behind it, as the collector looks through the tables of all functions
}
