//! One pass of the loop. The thread and the simulator call the same.

use contract::{Metric, Timestamp};

use crate::datagram_io::DatagramIo;
use crate::worker::Worker;

impl Worker {
    /// Everything that is to be done now: what arrived from the network, from other workers and from the control
    /// plane, what is due, and what follows from all that. True if there was anything.
    ///
    /// Afterwards the caller submits the I/O once: all sends of the turn go to the kernel together.
    pub fn turn(&mut self, now: Timestamp, io: &mut impl DatagramIo) -> bool {
        let received = io.receive();
        self.accept_all(received, now, io);
        io.recycle();
        let adopted = self.adopt_from_mesh(now, io);
        let applied = self.apply_orders(now, io);
        let passed = self.send_dtls(io);
        let due = self.expire_timers(now, io);
        let passed_on = self.fan_out(now, io);
        self.publish_to_threads(io);
        let worked = received + adopted + applied + passed > 0 || due || passed_on;
        if worked {
            self.statistics.count(Metric::Turns);
        }
        debug_assert!(self.statistics.balanced(), "a datagram vanished");
        debug_assert!(
            self.deadlines_hold(),
            "a conference or a transport changed and nobody asked when it wants to be called"
        );
        worked
    }
}
