//! A listener and its connections, on a ring or on plain sockets: the same calls, chosen once.

use std::io;
use std::net::{Shutdown, SocketAddr};

/// Accepts connections.
pub(super) enum Listener {
    Ring(tokio_uring::net::TcpListener),
    Plain(tokio::net::TcpListener),
}

impl Listener {
    /// Only on a runtime with a ring. The socket blocks: the ring waits in its stead.
    pub(super) fn on_ring(listener: std::net::TcpListener) -> io::Result<Listener> {
        Ok(Listener::Ring(tokio_uring::net::TcpListener::from_std(listener)))
    }

    pub(super) fn plain(listener: std::net::TcpListener) -> io::Result<Listener> {
        super::set_nonblocking(&listener)?;
        tokio::net::TcpListener::from_std(listener).map(Listener::Plain)
    }

    pub(super) async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        match self {
            Listener::Ring(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Stream::Ring(stream), peer))
            }
            Listener::Plain(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Stream::Plain(stream), peer))
            }
        }
    }
}

/// One connection. Reading and writing may go on at the same time.
pub(super) enum Stream {
    Ring(tokio_uring::net::TcpStream),
    Plain(tokio::net::TcpStream),
}

impl Stream {
    /// Reads into the empty `buffer`, at most its capacity; 0 at the end of the stream.
    pub(super) async fn read(&self, mut buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        match self {
            Stream::Ring(stream) => stream.read(buffer).await,
            Stream::Plain(stream) => loop {
                let read = match stream.readable().await {
                    Ok(()) => stream.try_read_buf(&mut buffer),
                    Err(error) => Err(error),
                };
                if !would_block(&read) {
                    return (read, buffer);
                }
            },
        }
    }

    /// Writes all of `bytes` and gives the memory back.
    pub(super) async fn write_all(&self, bytes: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        match self {
            Stream::Ring(stream) => stream.write_all(bytes).await,
            Stream::Plain(stream) => {
                let mut written = 0;
                while written < bytes.len() {
                    let wrote = match stream.writable().await {
                        Ok(()) => stream.try_write(&bytes[written..]),
                        Err(error) => Err(error),
                    };
                    match wrote {
                        Ok(count) => written += count,
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return (Err(error), bytes),
                    }
                }
                (Ok(()), bytes)
            }
        }
    }

    /// Ends both directions; whoever reads or writes learns of it.
    pub(super) fn shut_down(&self) {
        // It may be over already.
        let _ = match self {
            Stream::Ring(stream) => stream.shutdown(Shutdown::Both),
            Stream::Plain(stream) => socket2::SockRef::from(stream).shutdown(Shutdown::Both),
        };
    }
}

fn would_block<T>(result: &io::Result<T>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}
