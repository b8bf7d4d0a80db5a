package qtest

import (
	"fmt"
	"time"
)

// waitBounded waits for irq, at most answerTime.
func waitBounded(irq *IRQ) error {
	done := make(chan error, 1)
	go func() { done <- irq.Wait() }()
	select {
	case err := <-done:
		return err
	case <-time.After(answerTime):
		irq.Close()
		return fmt.Errorf("no interrupt within %v", answerTime)
	}
}
