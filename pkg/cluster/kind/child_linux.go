// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"os/exec"
	"syscall"
)

// dieWithParent ends a command when this process is killed: istioctl would wait
// for clusters that are gone.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
