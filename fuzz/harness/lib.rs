//! Runs fuzz targets without a fuzzer: over their corpus, and over mutations of it
//! that are the same in every run. So `make test` says when a target no longer holds,
//! in seconds; finding something new is the fuzzer's work.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use http::header::{HeaderName, HeaderValue};

/// A name, which is that of the folder of the corpus, and what takes an input. It
/// panics when a promise is broken.
pub type Target = (&'static str, fn(&[u8]));

/// Longest input that is made.
const LONGEST: usize = 4096;

/// Runs targets over their corpus, and over so many mutations of it each, or as many as
/// `FUZZ_MUTATIONS` says.
///
/// # Panics
/// When one has no corpus, or an input breaks a promise; that input is then in a file
/// whose name the message says.
pub fn replay(targets: &[Target], mutations: usize) {
    let asked = std::env::var("FUZZ_MUTATIONS").ok().map(|text| text.parse().expect("FUZZ_MUTATIONS is a number"));
    let mutations = asked.unwrap_or(mutations);
    let broken: Vec<String> = targets.iter().filter_map(|target| replay_one(*target, mutations).err()).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

fn replay_one((name, run): Target, mutations: usize) -> Result<(), String> {
    let corpus = corpus(name);
    if corpus.is_empty() {
        return Err(format!("fuzz/corpus/{name} has no inputs"));
    }
    corpus.iter().try_for_each(|input| try_one(name, run, input))?;
    // From the name, so that targets differ and runs do not.
    let mut dice = Dice(name.bytes().fold(0x9e37_79b9_7f4a_7c15, |seed, byte| seed.rotate_left(7) ^ u64::from(byte)));
    (0..mutations).try_for_each(|_| {
        let mut input = dice.one_of(&corpus).clone();
        for _ in 0..=dice.below(4) {
            dice.mutate(&mut input, &corpus);
        }
        input.truncate(LONGEST);
        try_one(name, run, &input)
    })
}

/// The inputs that are kept, and nothing else.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(name);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))).collect()
}

fn try_one(name: &str, run: fn(&[u8]), input: &[u8]) -> Result<(), String> {
    if catch_unwind(AssertUnwindSafe(|| run(input))).is_ok() {
        return Ok(());
    }
    let file = std::env::temp_dir().join(format!("argosy-fuzz-{name}-{}", std::process::id()));
    let kept = std::fs::write(&file, input).map_or_else(|error| error.to_string(), |()| file.display().to_string());
    Err(format!("target {name} breaks with the input in {kept}: {:?}", String::from_utf8_lossy(input)))
}

/// An input as a request: a line of method and target, lines of headers, an empty line,
/// the body. `None` when it is none that hyper would hand on.
pub fn request(input: &[u8]) -> Option<http::Request<Vec<u8>>> {
    let mut rest = input;
    let mut line = || {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        rest = after;
        Some(line)
    };
    let first = std::str::from_utf8(line()?).ok()?;
    let (method, target) = first.split_once(' ')?;
    let mut request = http::Request::builder().method(method).uri(target);
    while let Some(header) = line().filter(|line| !line.is_empty()) {
        let colon = header.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&header[..colon]).ok()?;
        request = request.header(name, HeaderValue::from_bytes(header[colon + 1..].trim_ascii()).ok()?);
    }
    request.body(rest.to_vec()).ok()
}

/// Runs a future to its end on a runtime of this thread.
pub fn wait_for<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// A small generator (xorshift) that begins the same every time.
struct Dice(u64);

// === impl Dice ===

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `bound`, which is not 0.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// A place in an input, its end included.
    fn place(&mut self, input: &[u8]) -> usize {
        self.below(input.len() + 1)
    }

    /// A part of an input of at most 64 bytes.
    fn part(&mut self, input: &[u8]) -> std::ops::Range<usize> {
        let start = self.place(input);
        start..(start + self.below(65)).min(input.len())
    }

    fn mutate(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        const TOKENS: &[&[u8]] = &[
            b"\0",
            b"\xff",
            b"\n",
            b"%2F",
            b"{",
            b"}",
            b"[",
            b"]",
            b"\"",
            b"\\",
            b"-1",
            b"18446744073709551616",
            b"null",
        ];
        let place = self.place(input);
        match self.below(6) {
            0 if place < input.len() => input[place] ^= 1 << self.below(8),
            1 if place < input.len() => input[place] = self.next().to_le_bytes()[0],
            2 => {
                let part = self.part(input);
                input.drain(part);
            }
            3 => {
                let part = self.part(input);
                let copy = input[part].to_vec();
                input.splice(place..place, copy);
            }
            4 => {
                let other = self.one_of(corpus);
                let part = self.part(other);
                input.splice(place..place, other[part].iter().copied());
            }
            _ => {
                let token = self.one_of(TOKENS);
                input.splice(place..place, token.iter().copied());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mutations_change_inputs_the_same_way_every_time() {
        let corpus = vec![b"{\"a\": 1}".to_vec(), b"other".to_vec()];
        let run = || {
            let mut dice = Dice(7);
            let mut one = || {
                let mut input = corpus[0].clone();
                dice.mutate(&mut input, &corpus);
                input
            };
            (0..200).map(|_| one()).collect::<Vec<_>>()
        };
        let all: std::collections::BTreeSet<_> = run().into_iter().collect();
        assert!(all.len() > 100, "{}", all.len());
        assert_eq!(run(), run());
    }
}
