//! Requests are answered when a second process has a copy of them in memory.
//!
//! The program starts that process, the *holder*, itself: the same program with `--copy-holder`. It
//! gets records (the length of a payload as u32, big-endian, and the payload) over loopback TCP, and
//! answers each read with how many more records it holds (u32). It ends with the connection.

use std::collections::VecDeque;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use bench::announce;
use bench::ingest::{Sequence, receive, record, reply};
use bench::sockets::{Id, READ_BUFFER, Sockets};
use clap::Parser;

/// Bytes that the holder keeps before it begins anew: they are there for their cost.
const HELD_MAX: usize = 64 * 1024 * 1024;

#[derive(Debug, Parser)]
struct Args {
    /// Where clients connect, or what they are copied from.
    #[arg(long)]
    listen: SocketAddr,
    /// Hold the copies.
    #[arg(long)]
    copy_holder: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    if args.copy_holder { hold(args.listen) } else { serve(args.listen) }
}

fn serve(address: SocketAddr) -> Result<()> {
    let mut sockets = Sockets::<()>::listen(address)?;
    let holder = sockets.adopt(start_holder()?)?;
    announce("listening", sockets.address()?, std::process::id());
    let mut buffer = vec![0; READ_BUFFER];
    let mut ready = Vec::new();
    let mut waiting = VecDeque::new();
    let mut records = Vec::new();
    loop {
        sockets.wait(&mut ready)?;
        for id in ready.drain(..) {
            if id == holder {
                confirm(&mut sockets, holder, &mut buffer, &mut waiting);
                ensure!(sockets.is_open(holder), "the holder is gone");
            } else {
                receive(&mut sockets, id, &mut buffer, |_, sequence, payload| {
                    record(&mut records, payload);
                    waiting.push_back((id, sequence));
                });
            }
        }
        sockets.gather(holder, &records);
        sockets.send_gathered();
        records.clear();
    }
}

/// Answers whom the holder has confirmed.
fn confirm(
    sockets: &mut Sockets<()>,
    holder: Id,
    buffer: &mut [u8],
    waiting: &mut VecDeque<(Id, Sequence)>,
) {
    let Some(mut input) = sockets.read(holder, buffer).map(|input| &*input) else { return };
    while let Some((count, rest)) = input.split_first_chunk() {
        input = rest;
        let count = waiting.len().min(u32::from_be_bytes(*count) as usize);
        for (id, sequence) in waiting.drain(..count) {
            sockets.gather(id, &reply(sequence));
        }
    }
    sockets.keep(holder, input);
}

fn start_holder() -> Result<TcpStream> {
    let mut holder = Command::new(std::env::current_exe()?)
        .args(["--copy-holder", "--listen"])
        .arg(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).to_string())
        .stdout(Stdio::piped())
        .spawn()
        .context("start the holder")?;
    let mut ready = String::new();
    BufReader::new(holder.stdout.take().context("the holder's output")?).read_line(&mut ready)?;
    let address = ready.split(' ').nth(1).context("the holder's address")?.parse()?;
    announce("holder", address, holder.id());
    Ok(TcpStream::connect(address)?)
}

fn hold(address: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address)?;
    announce("listening", listener.local_addr()?, std::process::id());
    let (stream, _) = listener.accept()?;
    match copy_from(stream) {
        Err(error)
            if !matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) =>
        {
            Err(error.into())
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Copies until the connection ends.
fn copy_from(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; READ_BUFFER];
    let mut held = Vec::with_capacity(HELD_MAX + READ_BUFFER);
    let mut counted = 0;
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        held.extend_from_slice(buffer.get(..read).unwrap_or_default());
        let (records, bytes) = whole_records(held.get(counted..).unwrap_or_default());
        counted += bytes;
        if records > 0 {
            stream.write_all(&records.to_be_bytes())?;
        }
        if counted > HELD_MAX {
            held.drain(..counted);
            counted = 0;
        }
    }
}

/// How many records are whole, and their length together.
fn whole_records(bytes: &[u8]) -> (u32, usize) {
    let (mut records, mut rest) = (0, bytes);
    while let Some((length, behind)) = rest.split_first_chunk()
        && let Some(behind) = behind.get(u32::from_be_bytes(*length) as usize..)
    {
        (records, rest) = (records + 1, behind);
    }
    (records, bytes.len() - rest.len())
}
