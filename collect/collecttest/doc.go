// Package collecttest shows that a source answers truly. It is the conformance
// suite of package collect: it makes sockets of every kind that a host can
// have, knows exactly their facts and holders, and holds an answer against
// these.
//
// [Run] goes through the cases one by one with one source, [Agree] has several
// sources look at the same standing sockets and wants the same rows of them,
// and [Churn] opens and closes connections while it looks. [Facts] lists the
// things a source cannot know by nature, and nothing else is forgiven. [Replay]
// answers from captured hosts.
//
// The sockets are made by other processes: the test binary starts itself again,
// so a package with the suite must call [Main] in its TestMain:
//
//	func TestMain(m *testing.M) { collecttest.Main(m) }
//
// Each process reports its sockets by the socket calls (getsockname, fstat,
// SO_COOKIE), another way than those of the sources.
package collecttest
