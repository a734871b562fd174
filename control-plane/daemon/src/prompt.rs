//! New connections must soon say what they want: hyper's limit on the head (RFC 9110 §15.5.9) begins only after it has told
//! HTTP/1 from the preface of HTTP/2, and for that it waits for ever.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum_server::accept::Accept;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// An acceptor behind which connections are ended that have not said `FIRST_BYTES` within a time.
#[derive(Clone)]
pub(crate) struct Prompt<A> {
    acceptor: A,
    within: Duration,
}

impl<A> Prompt<A> {
    pub(crate) fn new(acceptor: A, within: Duration) -> Prompt<A> {
        Prompt { acceptor, within }
    }
}

impl<A, I, S> Accept<I, S> for Prompt<A>
where
    A: Accept<I, S>,
    A::Future: Send + 'static,
{
    type Stream = Prompted<A::Stream>;
    type Service = A::Service;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let (accepted, within) = (self.acceptor.accept(stream, service), self.within);
        Box::pin(async move {
            let (stream, service) = accepted.await?;
            let deadline = Some(Box::pin(tokio::time::sleep(within)));
            Ok((Prompted { stream, deadline, said: 0 }, service))
        })
    }
}

/// A connection that may have to hurry.
pub(crate) struct Prompted<I> {
    stream: I,
    /// `None` once enough was said.
    deadline: Option<Pin<Box<Sleep>>>,
    said: usize,
}

impl<I: AsyncRead + Unpin> AsyncRead for Prompted<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let Some(deadline) = &mut self.deadline else { return read };
        if read.is_pending() {
            return deadline.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()));
        }
        self.said += buf.filled().len() - before;
        if self.said >= FIRST_BYTES {
            self.deadline = None;
        }
        read
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Prompted<I> {
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

/// The preface of HTTP/2 (RFC 9113 §3.4), for which hyper waits; no request of HTTP/1.1 is shorter.
const FIRST_BYTES: usize = 24;
