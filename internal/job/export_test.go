package job

// Remembers is how many jobs, lanes and keys a Flow holds.
func (f *Flow) Remembers() int {
	return len(f.entries) + len(f.lanes) + len(f.pace) + len(f.busy) + len(f.parked) + len(f.decided) + len(f.resumed) + len(f.overtaken) + len(f.postponed)
}
