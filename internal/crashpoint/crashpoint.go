// Package crashpoint names the moments at which the end of the process is most telling: right
// before and right after each step that makes something durable, starts something, or takes it up
// again. In the program that people run, Reach does nothing and costs nothing. Built with the tag
// "crashpoint", the process ends with SIGKILL at the point that TENTERHOOK_CRASH names, as
// internal/daemon's tests have it do at every one of them.
package crashpoint

// Point is a moment in the life of the daemon, by name.
type Point string

// The way in: one delivery, from its connection to its answer.
const (
	AfterAccept    Point = "after-accept"    // the connection was taken
	AfterHeaders   Point = "after-headers"   // the request's head was read
	MidBody        Point = "mid-body"        // a part of the body was read
	AfterBody      Point = "after-body"      // all of it
	AfterVerify    Point = "after-verify"    // the signature is right
	BeforeResponse Point = "before-response" // the delivery is on disk, its sender does not know
	AfterResponse  Point = "after-response"
)

// The store's writer.
const (
	BeforeBegin   Point = "before-begin"   // a batch was gathered
	AfterInsert   Point = "after-insert"   // one operation of the batch was applied
	BeforeCommit  Point = "before-commit"  // all of them
	AfterCommit   Point = "after-commit"   // the batch is on disk, nobody was told
	MidCheckpoint Point = "mid-checkpoint" // the log was copied back, and may be cut
	MidPurge      Point = "mid-purge"      // retention deleted one row of several
	Migration     Point = "migration"      // one step of a schema was taken
)

// The jobs.
const (
	AfterClaim          Point = "after-claim"           // a worker has the job
	BeforeStartRecord   Point = "before-start-record"   // its delivery was read
	AfterStartRecord    Point = "after-start-record"    // the start mark is on disk, nothing runs
	AfterFork           Point = "after-fork"            // the command runs
	MidOutput           Point = "mid-output"            // it wrote something
	AfterExit           Point = "after-exit"            // it ended, nothing of that is on disk
	AfterResultCommit   Point = "after-result-commit"   // its end is on disk
	BeforeRetrySchedule Point = "before-retry-schedule" // its next attempt is on disk, and not in memory
	BeforeFollowUp      Point = "before-follow-up"      // a follow-up's start mark is on disk
	AfterFollowUp       Point = "after-follow-up"       // it ended, nothing of that is on disk
)

// The daemon's own life.
const (
	RecoveryRead    Point = "recovery-read"    // what the run before left was read
	RecoverySwept   Point = "recovery-swept"   // its processes were ended
	RecoveryCutOff  Point = "recovery-cut-off" // one cut-off job was moved on
	ReloadValidated Point = "reload-validated" // the new configuration is good
	ReloadSwapped   Point = "reload-swapped"   // it is in force
	DrainBegin      Point = "drain-begin"      // a stop was asked for
	DrainEnd        Point = "drain-end"        // nothing runs any more, the store is open
)

// The sender's side.
const (
	MidCatchup Point = "mid-catchup" // one delivery of several was caught up
	BeforeTold Point = "before-told" // a job has a state that its sender is to be told
	AfterTold  Point = "after-told"  // the sender was told, nothing of that is on disk
)

// OfSenders are the points of the sender's side, which a daemon without an API never comes to.
var OfSenders = []Point{MidCatchup, BeforeTold, AfterTold}

// All is every other point there is, in the order above.
var All = []Point{
	AfterAccept, AfterHeaders, MidBody, AfterBody, AfterVerify, BeforeResponse, AfterResponse,
	BeforeBegin, AfterInsert, BeforeCommit, AfterCommit, MidCheckpoint, MidPurge, Migration,
	AfterClaim, BeforeStartRecord, AfterStartRecord, AfterFork, MidOutput, AfterExit, AfterResultCommit, BeforeRetrySchedule,
	BeforeFollowUp, AfterFollowUp,
	RecoveryRead, RecoverySwept, RecoveryCutOff, ReloadValidated, ReloadSwapped, DrainBegin, DrainEnd,
}
