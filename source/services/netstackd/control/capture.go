package control

import (
	"time"

	"nexus/source/api/netapi"
	"nexus/source/api/netcapnp"
)

func (s *Server) captureOpen(request netcapnp.Request_captureOpen, reply netcapnp.Reply) error {
	name, err := request.Interface()
	if err != nil {
		return err
	}
	handle, err := s.taps.Open(name, int(min(request.SnapLength(), netapi.MaxPacketData)))
	if err != nil {
		return err
	}
	reply.SetCapture(handle)
	return nil
}

func (s *Server) captureRead(request netcapnp.Request_captureRead, reply netcapnp.Reply) error {
	timeout := time.Duration(request.TimeoutMs()) * time.Millisecond
	packets, dropped, err := s.taps.Read(s.ctx, request.Capture(), timeout)
	if err != nil {
		return err
	}
	return netapi.SetPackets(reply, packets, dropped)
}

func (s *Server) captureClose(handle uint64, reply netcapnp.Reply) error {
	if err := s.taps.Close(handle); err != nil {
		return err
	}
	reply.SetDone()
	return nil
}
