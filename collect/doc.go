// Package collect lists the sessions of a Linux host with their owners. It chooses
// a source, gives it a part of the filter, joins sockets with processes, and keeps
// the account of everything it could not see.
//
// [Collect] makes one collection. A program with many questions keeps a [Collector]
// open, which reuses its buffers, descriptors and loaded programs:
//
//	c := collect.Open()
//	defer c.Close()
//	for {
//		answer, err := c.Collect(ctx, &collect.Options{})
//		if err != nil {
//			return err
//		}
//		for s := range answer.Sessions() {
//			…
//		}
//		answer.Close()
//	}
//
// # How an answer is made
//
// options.go holds the question, and plan.go turns it into a query for a source and
// a rest. Then the answer goes through stages. Each stage is a value made of the one
// before, and their memory is used again:
//
//	gather    the sockets and descriptors of a source      gather.go
//	join      the descriptors of each socket               join.go
//	derive    directions, other ends and reasons           derive.go
//	describe  names of processes, users and namespaces     describe.go
//	choose    the sockets that meet the question           choose.go
//	order     these, in the order of the answer            order.go
//
// sources.go chooses the source to gather from, and holders.go gathers from two at
// once. spaces.go chooses the network namespaces to read, and held.go finds those
// kept alive by a socket alone. After the join again.go looks once more for missing
// owners. session.go makes the values for the caller. The hot loops are in join.go,
// order.go and session.go: they touch each socket and allocate nothing for it.
package collect
