// Package whatsapp is the driver of WhatsApp, on the client library whatsmeow.
//
// Each session is an actor: one goroutine with a mailbox. The library calls its
// event handlers from several goroutines at once and in no order to rely on, so
// a handler only puts what it got into the mailbox, together with the connection
// it came from; what an older connection still says is dropped. The library's
// own reconnecting is off, and so is its channel of QR codes: their clock is ours.
//
// # Linking
//
// An unpaired connection gets six references, each good for one QR code: the
// first is shown for 60 s, the others for 20 s each, and then the server ends the
// connection. A pairing code lives as long as that connection; the QR codes stay
// good beside it. Once a phone has accepted, the library stores the keys (we note
// before that whose they are), the server ends the connection with the stream
// error 515, and we log in with a fresh client made from the stored keys. That 515
// may be lost when the server closes at once, so the end of the connection, or
// ten seconds without either, do as well. The first login is tried several times
// within the session: a linked device never stays silent.
//
// # How a session ends
//
//	what the library tells                       the session closes with
//	LoggedOut (stream error or failure 401, 403) logged_out_on_phone
//	LoggedOut with failure 406                   banned, without an end
//	StreamReplaced                               replaced
//	TemporaryBan (failure 402)                   banned until its end; 24 h when none is given
//	ClientOutdated (failure 405)                 client_outdated
//	ConnectFailure 429                           throttled
//	ConnectFailure, any other reason             login_refused
//	StreamError, Disconnected, end of the socket connection_closed
//	KeepAliveTimeout, the second in a row        keepalive_timeout
//	ManualLoginReconnect once online             connection_closed
//	PairError: refused by the library's checks   pairing_refused
//	PairError: another number than expected      wrong_phone
//	PairPasskeyError                             pairing_refused
//	dialling failed, upgrade refused             unreachable; throttled for HTTP 429
//	nothing within 30 s of connecting            unreachable
//	codes used up                                qr_timeout
//
// A terminal event and the end of the socket race with each other: the library
// may tell them in either order, or lose the event. The end of a socket therefore
// waits a moment for the event that explains it. An event that was lost comes
// again at the next login.
//
// # Keys
//
// The library deletes a device from its store when the messenger says that it is
// logged out. Here keys stay until Forget: what is passed to the library is a
// store that does not delete. A session holds the keys of its instance from its
// first use of them until it is closed. Devices in the store that belong to no
// instance, left by a crash in the middle of a link, are logged out and dropped
// in the background; Close waits for that.
//
// # What must not be seen
//
// QR texts, pairing codes, challenges, phone numbers and stanzas are in no log
// line, no error text and no metric. Of what the library logs, only the constant
// part is passed on, from warnings upwards.
package whatsapp
