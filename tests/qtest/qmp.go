package qtest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"
)

// QMP runs one command of QEMU's monitor and gives what it returns.
func (m *Machine) QMP(command string, arguments map[string]any) (json.RawMessage, error) {
	conn, err := net.Dial("unix", m.qmpPath())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(conn)
	if !lines.Scan() { // greeting
		return nil, errors.Join(errors.New("qmp: no greeting"), lines.Err())
	}
	if _, err := qmpCall(conn, lines, "qmp_capabilities", nil); err != nil {
		return nil, err
	}
	return qmpCall(conn, lines, command, arguments)
}

func qmpCall(conn net.Conn, lines *bufio.Scanner, command string, arguments map[string]any) (json.RawMessage, error) {
	request := map[string]any{"execute": command}
	if arguments != nil {
		request["arguments"] = arguments
	}
	if err := json.NewEncoder(conn).Encode(request); err != nil {
		return nil, err
	}
	for lines.Scan() {
		var answer struct {
			Return json.RawMessage `json:"return"`
			Error  json.RawMessage `json:"error"`
		}
		if err := json.Unmarshal(lines.Bytes(), &answer); err != nil {
			return nil, err
		}
		switch {
		case answer.Error != nil:
			return nil, fmt.Errorf("qmp: %s: %s", command, answer.Error)
		case answer.Return != nil:
			return answer.Return, nil
		} // else an event
	}
	return nil, errors.Join(fmt.Errorf("qmp: %s: no answer", command), lines.Err())
}

// interruptController finds the PLIC in QEMU's object tree.
func (m *Machine) interruptController() (path string, err error) {
	const parent = "/machine/unattached"
	answer, err := m.QMP("qom-list", map[string]any{"path": parent})
	if err != nil {
		return "", err
	}
	var nodes []struct{ Name, Type string }
	if err := json.Unmarshal(answer, &nodes); err != nil {
		return "", err
	}
	for _, n := range nodes {
		if n.Type == "child<riscv.sifive.plic>" {
			return parent + "/" + n.Name, nil
		}
	}
	return "", errors.New("qmp: the machine has no PLIC")
}
