//! An image host that can be told to misbehave.

use super::proxy::{header, read_message};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What it does with pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manners {
    /// Keeps them as they are, and answers in JSON.
    Good,
    /// Answers with a redirect to a page whose URL has the picture's.
    Redirect,
    /// Is asked as a proxy, and answers as storagex 1.0's host did: with a redirect to a page of
    /// another host, whose URL has the picture's with percent signs.
    Baidu,
    /// Answers with a URL that is relative to it and has a fragment, as text.
    Relative,
    /// Says 200, and what went wrong in the body.
    ErrorInside,
    /// Gives a JPEG back.
    Jpeg,
    /// Gives a JPEG of quality 80 back of what it has blurred.
    Blurred,
    /// Gives a PNG back whose colours it has taken for those of another colour space.
    Recoloured,
    /// Gives a JPEG of quality 80 back of what it has cropped by one pixel on the left.
    Cropped,
    /// Gives a smaller PNG back.
    Shrunk,
    /// Gives a smaller PNG back of what is larger than this many bytes.
    ShrunkOver(usize),
    /// Gives a page back that shows the picture.
    Page,
    /// Refuses what is larger than this many bytes.
    Most(usize),
    /// Makes palettes of pictures of few colours, and gives the others alpha.
    Reencoded,
    /// Makes each picture a lossless one of another format.
    Webp,
    /// Refuses the first two uploads with 429, and says when to come again, or doesn't.
    Throttled(bool),
    /// Gives half of a picture back when it is asked for the first time.
    Cut,
    /// Gives every picture back once, and has forgotten it then.
    Expired,
    /// Keeps all pictures under one URL.
    Overwrites,
    /// Keeps the last picture only, under URLs that differ in their query.
    KeepsLast,
    /// Answers with a redirect to the picture itself.
    ToPicture,
    /// Shows a picture only when it is asked for the third time.
    Late,
    /// Answers to a URL that deletes a picture with a page that has a button.
    Button,
    /// Answers a request for a picture that it doesn't have with a redirect to the same URL.
    Circle,
    /// Gives pictures only to requests that have this header with this value.
    Needs(&'static str, &'static str),
    /// Takes so many milliseconds to say that it doesn't have a picture.
    SlowToMiss(u64),
}

/// A picture host that runs for as long as the test process.
#[derive(Clone)]
pub struct Host {
    pub address: SocketAddr,
    /// Pictures, by their paths.
    pub kept: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    /// Pictures that have been taken.
    taken: Arc<Mutex<usize>>,
    /// Paths that have been asked for.
    given: Arc<Mutex<BTreeSet<String>>>,
    /// The heads of all requests.
    pub seen: Arc<Mutex<Vec<String>>>,
}

impl Host {
    pub fn new(manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = Host {
            address: listener.local_addr().unwrap(),
            kept: Arc::default(),
            taken: Arc::default(),
            given: Arc::default(),
            seen: Arc::default(),
        };
        let own = host.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (own, client) = (own.clone(), client.unwrap());
                thread::spawn(move || drop(own.talk(client, manners)));
            }
        });
        host
    }

    fn talk(&self, client: TcpStream, manners: Manners) -> std::io::Result<()> {
        let mut from = BufReader::new(client.try_clone()?);
        let mut to = client;
        while let Some((head, body)) = read_message(&mut from, false)? {
            self.seen.lock().unwrap().push(head.clone());
            let target = head.split_whitespace().nth(1).unwrap_or_default();
            let path = match target.strip_prefix("http://") {
                Some(full) => &full[full.find('/').unwrap_or(full.len())..],
                None => target,
            };
            let answer = match head.split(' ').next() {
                Some("POST") => self.take(&head, &body, manners),
                _ if matches!(manners, Manners::Needs(name, value) if header(&head, name) != Some(value)) => {
                    answer(403, "text/html", b"<html>", "")
                }
                _ => self.give(path, manners),
            };
            to.write_all(&answer)?;
            if find(&answer, b"connection: close").is_some() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Keeps the picture that is in a body, wherever it starts and ends.
    fn take(&self, head: &str, body: &[u8], manners: Manners) -> Vec<u8> {
        let is_baidu = manners == Manners::Baidu;
        if !is_baidu && header(head, "authorization") != Some("token") {
            return answer(
                401,
                "application/json",
                b"{\"error\": \"who are you?\"}",
                "",
            );
        }
        let find = |what: &[u8]| find(body, what);
        let (Some(start), Some(end)) = (find(b"\x89PNG"), find(b"IEND\xae\x42\x60\x82")) else {
            return answer(400, "text/plain", b"no picture", "");
        };
        let picture = &body[start..end + 8];
        if matches!(manners, Manners::Most(most) if picture.len() > most) {
            return answer(413, "text/html", b"<html>too large</html>", "");
        }
        if let Manners::Throttled(says) = manners {
            let seen = self.seen.lock().unwrap();
            let uploads = seen.iter().filter(|head| head.starts_with("POST")).count();
            let after = if says { "retry-after: 1\r\n" } else { "" };
            let headers = format!("x-ratelimit-remaining: 0\r\n{after}");
            if uploads <= 2 {
                return answer(429, "text/plain", b"slow down", &headers);
            }
        }
        let path = {
            let mut kept = self.kept.lock().unwrap();
            let mut taken = self.taken.lock().unwrap();
            let path = match is_baidu {
                true => format!("/image/pic/item/{taken}.jpg"),
                false if matches!(manners, Manners::Overwrites | Manners::KeepsLast) => {
                    "/u/same.png".to_owned()
                }
                false => format!("/u/{taken}.png"),
            };
            *taken += 1;
            kept.insert(path.clone(), picture.to_vec());
            match manners {
                Manners::KeepsLast => format!("{path}?{taken}"),
                _ => path,
            }
        };
        let url = format!("http://{}{path}", self.address);
        match manners {
            Manners::ErrorInside => answer(
                200,
                "application/json",
                b"{\"error\": \"quota exceeded\"}",
                "",
            ),
            Manners::Redirect => {
                let page = format!("location: /page?queryImageUrl={url}&querySign=1\r\n");
                answer(302, "text/html", b"", &page)
            }
            Manners::ToPicture => answer(303, "text/html", b"", &format!("location: {url}\r\n")),
            Manners::Baidu if find(b"name=\"image\"; filename=\"test.png\"").is_none() => {
                answer(400, "text/plain", b"", "")
            }
            Manners::Baidu => {
                let url = format!("http://e.hiphotos.baidu.com{path}");
                let url = url.replace(':', "%3A").replace('/', "%2F");
                let page = format!(
                    "location: http://image.baidu.com/page?queryImageUrl={url}&querySign=1,2&x=y\r\n"
                );
                answer(302, "text/html", b"", &page)
            }
            Manners::Relative => answer(201, "text/plain", format!("{path}#top\n").as_bytes(), ""),
            _ => {
                let url = url.replace('/', "\\/");
                let json = format!(
                    "{{\"files\": [{{\"url\": \"{url}\", \"delete\": \"{url}?secret\"}}]}}"
                );
                answer(200, "application/json", json.as_bytes(), "")
            }
        }
    }

    fn give(&self, path: &str, manners: Manners) -> Vec<u8> {
        if let Some(path) = path.strip_suffix("?secret") {
            if manners != Manners::Button {
                self.kept.lock().unwrap().remove(path);
            }
            return answer(200, "text/html", b"<html>Delete?", "");
        }
        let path = match manners {
            Manners::KeepsLast => path.split('?').next().unwrap_or(path),
            _ => path,
        };
        let picture = self.kept.lock().unwrap().get(path).cloned();
        let first = self.given.lock().unwrap().insert(path.to_owned());
        if manners == Manners::Late {
            let seen = self.seen.lock().unwrap();
            let asked = format!("GET {path} ");
            if seen.iter().filter(|head| head.starts_with(&asked)).count() < 3 {
                return answer(404, "text/html", b"<html>", "");
            }
        }
        match (picture, manners) {
            (Some(_), Manners::Expired) if !first => answer(404, "text/html", b"<html>", ""),
            (Some(picture), Manners::Cut) if first => {
                let mut half = answer(200, "image/png", &picture, "connection: close\r\n");
                half.truncate(half.len() - picture.len() / 2);
                half
            }
            (Some(picture), Manners::Webp) => answer(200, "image/webp", &to_webp(&picture), ""),
            (Some(picture), Manners::Reencoded) => {
                answer(200, "image/png", &reencoded(&picture), "")
            }
            (_, Manners::Page) => answer(200, "text/html", b"<!doctype html><img src=x>", ""),
            (Some(picture), Manners::Jpeg) => answer(200, "image/jpeg", &to_jpeg(&picture, 75), ""),
            (Some(picture), Manners::Blurred) => {
                let soft = changed(&picture, |at, x, y, c| {
                    let around =
                        at(x - 1, y, c) + at(x + 1, y, c) + at(x, y - 1, c) + at(x, y + 1, c);
                    (4 * at(x, y, c) + around) / 8
                });
                answer(200, "image/jpeg", &to_jpeg(&soft, 80), "")
            }
            (Some(picture), Manners::Recoloured) => {
                let other = changed(&picture, |at, x, y, c| {
                    // Encoded by BT.601, decoded by BT.709, in thousandths.
                    let mix = [[1086, -72, -14], [97, 845, 58], [-14, -28, 1042]][c];
                    (0..3).map(|from| mix[from] * at(x, y, from)).sum::<i64>() / 1000
                });
                answer(200, "image/png", &other, "")
            }
            (Some(picture), Manners::Cropped) => {
                answer(200, "image/jpeg", &to_jpeg(&cropped(&picture), 80), "")
            }
            (_, Manners::Shrunk) => answer(200, "image/png", &small(), ""),
            (Some(picture), Manners::ShrunkOver(most)) if picture.len() > most => {
                answer(200, "image/png", &small(), "")
            }
            (Some(picture), _) => answer(200, "image/png", &picture, ""),
            (None, Manners::SlowToMiss(milliseconds)) => {
                thread::sleep(Duration::from_millis(milliseconds));
                answer(404, "text/html", b"<html>", "")
            }
            (None, Manners::Circle) => {
                answer(302, "text/html", b"", &format!("location: {path}\r\n"))
            }
            (None, _) if path.starts_with("/page") => answer(200, "text/html", b"<html>", ""),
            (None, _) => answer(404, "text/html", b"<html>", ""),
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn small() -> Vec<u8> {
    let mut png = Vec::new();
    let size = storagex::wire::frame::Size {
        width: 8,
        height: 8,
    };
    storagex::wire::carrier::pixels::render(&[7; 192], size, &mut png);
    png
}

/// A picture with other pixels: `change` gets what a sample of the old one is, by column, row and
/// colour, and the place of one of the new.
fn changed(
    picture: &[u8],
    change: impl Fn(&dyn Fn(i64, i64, usize) -> i64, i64, i64, usize) -> i64,
) -> Vec<u8> {
    let mut pixels = Vec::new();
    storagex::wire::carrier::gray::colours(picture, &mut pixels).unwrap();
    let size = storagex::wire::carrier::container::size(picture);
    let (width, height) = (i64::from(size.width), i64::from(size.height));
    let at = |x: i64, y: i64, c: usize| {
        let pixel = y.clamp(0, height - 1) * width + x.clamp(0, width - 1);
        i64::from(pixels[usize::try_from(pixel).unwrap() * 3 + c])
    };
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let samples = places.flat_map(|(x, y)| [0, 1, 2].map(|c| change(&at, x, y, c)));
    let samples: Vec<u8> = samples
        .map(|value| u8::try_from(value.clamp(0, 255)).unwrap())
        .collect();
    let mut png = Vec::new();
    storagex::wire::carrier::pixels::render(&samples, size, &mut png);
    png
}

/// A picture without its first column.
fn cropped(picture: &[u8]) -> Vec<u8> {
    let mut pixels = Vec::new();
    storagex::wire::carrier::gray::colours(picture, &mut pixels).unwrap();
    let size = storagex::wire::carrier::container::size(picture);
    let rows = pixels.chunks_exact(size.width as usize * 3);
    let part: Vec<u8> = rows.flat_map(|row| row[3..].to_vec()).collect();
    let size = storagex::wire::frame::Size {
        width: size.width - 1,
        ..size
    };
    let mut png = Vec::new();
    storagex::wire::carrier::pixels::render(&part, size, &mut png);
    png
}

/// A picture with the same pixels, as an optimiser of a host might write it.
fn reencoded(picture: &[u8]) -> Vec<u8> {
    let mut pixels = Vec::new();
    storagex::wire::carrier::pixels::parse(picture, &mut pixels).unwrap();
    let size = storagex::wire::carrier::container::size(picture);
    let colours: BTreeSet<&[u8]> = pixels.chunks(3).collect();
    let palette: Vec<&[u8]> = colours.into_iter().collect();
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, size.width, size.height);
    let bytes: Vec<u8> = if palette.len() > 256 {
        encoder.set_color(png::ColorType::Rgba);
        let opaque = |rgb: &[u8]| [rgb[0], rgb[1], rgb[2], 255];
        pixels.chunks(3).flat_map(opaque).collect()
    } else {
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_palette(palette.concat());
        let index = |rgb| u8::try_from(palette.binary_search(&rgb).unwrap()).unwrap();
        pixels.chunks(3).map(index).collect()
    };
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&bytes).unwrap();
    writer.finish().unwrap();
    png
}

/// The picture as libjpeg encodes it, with colours at half resolution.
pub fn to_jpeg(picture: &[u8], quality: u8) -> Vec<u8> {
    let (mut pixels, mut jpeg) = (Vec::new(), Vec::new());
    storagex::wire::carrier::gray::colours(picture, &mut pixels).unwrap();
    let size = storagex::wire::carrier::container::size(picture);
    let side = |side: u32| u16::try_from(side).unwrap();
    let mut encoder = jpeg_encoder::Encoder::new(&mut jpeg, quality);
    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::R_4_2_0);
    let colour = jpeg_encoder::ColorType::Rgb;
    encoder
        .encode(&pixels, side(size.width), side(size.height), colour)
        .unwrap();
    jpeg
}

fn to_webp(picture: &[u8]) -> Vec<u8> {
    let (mut pixels, mut webp) = (Vec::new(), Vec::new());
    storagex::wire::carrier::pixels::parse(picture, &mut pixels).unwrap();
    let size = storagex::wire::carrier::container::size(picture);
    let colour = image_webp::ColorType::Rgb8;
    let encoder = image_webp::WebPEncoder::new(&mut webp);
    encoder
        .encode(&pixels, size.width, size.height, colour)
        .unwrap();
    webp
}

fn answer(status: u16, kind: &str, body: &[u8], more: &str) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\n{more}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
