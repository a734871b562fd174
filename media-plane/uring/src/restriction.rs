//! The only operations a ring may do. The kernel refuses all others with EACCES, so that a memory error in this
//! process cannot open files or connections through the ring, where no system call filter sees it.

use io_uring::Submitter;
use io_uring::opcode::{AsyncCancel2, PollAdd, RecvMsgMulti, Send, SendMsg, Write};
use io_uring::register::Restriction;
use io_uring::squeue::Flags;

/// `IORING_UNREGISTER_RING_FDS`: the one registration undone after the ring is enabled.
pub(crate) const UNREGISTER_RING_FDS: u8 = 21;

/// Operations used: receive, send grouped, send one, watch the wake-up, wake another, cancel at the end.
pub(crate) const OPERATIONS: [u8; 6] =
    [RecvMsgMulti::CODE, SendMsg::CODE, Send::CODE, PollAdd::CODE, Write::CODE, AsyncCancel2::CODE];

/// Restricts a ring that is still disabled; in force from the moment it is enabled.
pub(crate) fn restrict(submitter: &Submitter<'_>) -> std::io::Result<()> {
    let mut restrictions: Vec<Restriction> =
        OPERATIONS.iter().map(|code| Restriction::sqe_op(*code)).collect();
    restrictions.push(Restriction::sqe_flags_allowed((Flags::FIXED_FILE | Flags::BUFFER_SELECT).bits()));
    restrictions.push(Restriction::register_op(UNREGISTER_RING_FDS));
    submitter.register_restrictions(&mut restrictions)
}
