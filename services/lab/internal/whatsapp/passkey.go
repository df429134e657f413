package whatsapp

type passkeyExchange struct{}

func (s *Server) askPasskey(c *conn) {}
