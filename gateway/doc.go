// Package gateway is the door through which other programs on this machine reach a node. So far it holds the control API:
// HTTP and JSON over a Unix socket, server and client.
//
// # Who takes part
//
// The server is a process that runs a node. The client is another process of the same user: a shoal command, or a script. The
// package knows neither what a node is nor what the verbs mean; the program registers each verb with [Handle] or
// [HandleStream] and calls it with [Call] or [Stream].
//
// # A request
//
// POST /v1/VERB with the host "shoal" and a JSON object as body. One connection carries one request.
//
// # The answer
//
// Lines of JSON, each an object with one field:
//
//	{"event": …}    something happened; any number, in the order in which it did
//	{"data": n}     n bytes of output follow this line, then the next line
//	{"beat": true}  the node is at work and has nothing to say; so that neither side takes silence for death
//	{"result": …}   the last line of a request that went well
//	{"error": {"code": …, "message": …}}  the last line of one that did not
//
// An answer that ends without one of the last two means that the node went away. A request that is refused before it starts
// has a status other than 200, and an error line as its body.
//
// When the client hangs up, the request's context ends. Nothing is thrown away: a client that reads slowly slows the request
// that it made, and only that.
//
// # Who is let in
//
// Only the user who runs the node. The socket is 0600 in a directory that must be 0700 and the user's own, and where the system
// tells who is calling (Linux, macOS), it is asked. A web page cannot open a Unix socket; in case something forwards one to a
// port, requests with another host, or with a header that only browsers send, are refused before they are looked at. The
// client checks in turn that the socket belongs to its user.
package gateway
