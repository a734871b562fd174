//! Caps on connections, in all and from one address, held until the connection ends, upgraded or not.

use std::collections::HashMap;
use std::future::{Ready, ready};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum_server::accept::Accept;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::origin::origin;
use crate::status::Status;

/// Lets connections in.
#[derive(Clone)]
pub(crate) struct Limiter {
    open: Arc<Mutex<Open>>,
    limits: Arc<Limits>,
    status: Arc<Status>,
}

/// They may change; connections that are open stay.
struct Limits {
    total: AtomicUsize,
    per_address: AtomicUsize,
}

#[derive(Default)]
struct Open {
    total: usize,
    by_origin: HashMap<IpAddr, usize>,
}

impl Limiter {
    pub(crate) fn new(total_max: usize, per_address_max: usize, status: Arc<Status>) -> Limiter {
        let limits = Limits { total: total_max.into(), per_address: per_address_max.into() };
        Limiter { open: Arc::default(), limits: Arc::new(limits), status }
    }

    /// Holds for connections to come.
    pub(crate) fn set_limits(&self, total_max: usize, per_address_max: usize) {
        self.limits.total.store(total_max, Ordering::Relaxed);
        self.limits.per_address.store(per_address_max, Ordering::Relaxed);
    }

    /// Counts a connection from `address`; `None` if there are too many.
    fn admit(&self, address: IpAddr) -> Option<Permit> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let origin = origin(address);
        let here = origin.and_then(|origin| open.by_origin.get(&origin)).copied().unwrap_or(0);
        let limit = |limit: &AtomicUsize| limit.load(Ordering::Relaxed);
        let crowded = here >= limit(&self.limits.per_address);
        if open.total >= limit(&self.limits.total) || crowded {
            self.status.http.refused();
            return None;
        }
        open.total += 1;
        if let Some(origin) = origin {
            *open.by_origin.entry(origin).or_default() += 1;
        }
        self.status.http.set_open(open.total);
        Some(Permit { limiter: self.clone(), origin })
    }

    fn release(&self, origin: Option<IpAddr>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total = open.total.saturating_sub(1);
        if let Some(origin) = origin
            && let Some(here) = open.by_origin.get_mut(&origin)
        {
            *here -= 1;
            if *here == 0 {
                open.by_origin.remove(&origin);
            }
        }
        self.status.http.set_open(open.total);
    }
}

impl<S> Accept<TcpStream, S> for Limiter {
    type Stream = Limited;
    type Service = S;
    type Future = Ready<io::Result<(Limited, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let admitted = stream.peer_addr().and_then(|peer| {
            stream.set_nodelay(true)?;
            self.admit(peer.ip()).ok_or_else(|| io::Error::other("too many connections"))
        });
        ready(admitted.map(|permit| (Limited { stream, _permit: permit }, service)))
    }
}

/// A place taken; given back when dropped.
struct Permit {
    limiter: Limiter,
    origin: Option<IpAddr>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limiter.release(self.origin);
    }
}

/// A connection that was let in.
pub(crate) struct Limited {
    stream: TcpStream,
    _permit: Permit,
}

impl AsyncRead for Limited {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Limited {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_counted_in_all_and_by_address_and_given_back() {
        let limiter = Limiter::new(3, 2, Arc::new(Status::new()));
        let (one, two, local) =
            (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]), IpAddr::from([127, 0, 0, 1]));
        let first = limiter.admit(one).unwrap();
        let second = limiter.admit(one).unwrap();
        assert!(limiter.admit(one).is_none(), "two from one address");
        let third = limiter.admit(two).unwrap();
        assert!(limiter.admit(two).is_none(), "three in all");
        drop((first, second));
        let locals: Vec<Permit> = std::iter::from_fn(|| limiter.admit(local)).collect();
        assert_eq!(locals.len(), 2, "loopback is bounded in all only");
        drop((third, locals));
        let network = ["2001:db8::1", "2001:db8::2", "2001:db8::3"].map(|address| address.parse().unwrap());
        let places: Vec<Permit> = network.into_iter().filter_map(|address| limiter.admit(address)).collect();
        assert_eq!(places.len(), 2, "one network of IPv6 is one customer");
        drop(places);
        assert!(limiter.open.lock().unwrap().by_origin.is_empty(), "nothing is left behind");
    }
}
