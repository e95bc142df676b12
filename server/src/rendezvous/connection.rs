//! One client's life: hello, login, then signals both ways until somebody ends it.
//!
//! One task does it all, so what a client is sent and what it sends never race. It waits for a slow reader no longer
//! than for a silent one; meanwhile the mailbox drops its oldest, and nobody else waits.

use super::hub::{Next, Seat, Sent};
use super::login::{self, User};
use super::messages::{FromClient, FromServer, Login, Refused, b64, decode_signal, encode_offline};
use super::{Admission, Rendezvous};
use crate::limits::{Bucket, Rate};
use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use std::future;
use std::sync::Arc;
use std::time::Duration;
use steamnetmsg_tool::clock;
use steamnetmsg_tool::keys::PublicKey;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::debug;

/// He does not speak the protocol.
const BAD_PROTOCOL: i32 = 4_006;

/// Refreshes and tokens: each costs a signature.
const CONTROL: Rate = Rate { per_second: 1.0, burst: 10.0 };

/// A client that is too fast is told so at most this often.
const SLOW_EVERY: Duration = Duration::from_secs(10);

/// How long the end of a connection may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// Why a connection ends.
#[derive(Debug)]
enum End {
    /// The client went, or its network did.
    Gone,
    /// He is told why, and closed.
    Refused(Refused),
    /// He logged in elsewhere.
    Replaced,
    /// He sent a frame beyond every limit.
    Oversized,
    /// He said nothing, or read nothing, for too long.
    Silent,
    /// The server is about to end.
    Closing,
}

/// Takes a client from hello to the end.
pub async fn run(rendezvous: Arc<Rendezvous>, socket: WebSocket, admission: Admission) {
    let Admission { waiting, _connected, source, host, mut closing, _alive } = admission;
    let mut client = Client { rendezvous, socket, heard: Instant::now() };
    let entered = tokio::select! {
        entered = client.log_in(&host) => entered,
        () = until_closing(&mut closing) => Err(End::Closing),
    };
    drop(waiting);
    let end = match entered {
        Ok(user) => {
            let counters = client.rendezvous.counters.clone();
            let (seat, taken_over) = client.rendezvous.hub.enter(user.app, user.steam_id);
            counters.logins.increment(1);
            if taken_over {
                counters.replaced.increment(1);
            }
            debug!(steam_id = user.steam_id.0, app = user.app.0, %source, "in");
            let (steam_id, app) = (user.steam_id.0, user.app.0);
            let end = client.serve(user, source, &seat, &mut closing).await;
            debug!(steam_id, app, ?end, "out");
            end
        }
        Err(end) => {
            debug!(%source, ?end, "not let in");
            end
        }
    };
    client.say_goodbye(end).await;
}

struct Client {
    rendezvous: Arc<Rendezvous>,
    socket: WebSocket,
    /// When the last frame came.
    heard: Instant,
}

impl Client {
    async fn log_in(&mut self, host: &str) -> Result<User, End> {
        let nonce = crate::random::<32>().map_err(|_| broken())?;
        let settings = self.rendezvous.settings.clone();
        let authorities = settings.authorities.iter().map(|key| PublicKey(*key).to_string()).collect();
        let server = concat!("steamnetmsg-server ", env!("CARGO_PKG_VERSION")).to_owned();
        let hello = FromServer::Hello { version: 0, server, nonce: b64(&nonce), time: clock::now(), authorities };
        self.say(&hello).await?;
        let login = timeout(settings.rendezvous.login_time.0, self.read_login()).await;
        let login = login.map_err(|_| End::Silent)??;
        login::check(&settings, &login, &nonce, host, clock::now()).map_err(End::Refused)
    }

    async fn read_login(&mut self) -> Result<Login, End> {
        loop {
            match self.read().await? {
                Message::Text(text) => match read_control(&text)? {
                    FromClient::Login(login) => return Ok(login),
                    _ => return Err(protocol("the first message must be a login")),
                },
                Message::Binary(_) => return Err(protocol("the first message must be a login")),
                Message::Ping(_) | Message::Pong(_) | Message::Close(_) => {}
            }
        }
    }

    async fn serve(
        &mut self,
        mut user: User,
        source: std::net::SocketAddr,
        seat: &Seat,
        closing: &mut tokio::sync::watch::Receiver<bool>,
    ) -> End {
        let settings = self.rendezvous.settings.clone();
        let (ping_every, silence) = (settings.rendezvous.ping_every.0, settings.rendezvous.silence.0);
        let mut pinged = Instant::now();
        let mut rates = Rates::new(&settings.limits, Instant::now());
        if let Err(end) = self.welcome(&user, source).await {
            return end;
        }
        loop {
            let silent = self.heard + silence;
            let done = tokio::select! {
                frame = self.read() => match frame {
                    Ok(Message::Text(text)) => self.handle_control(&text, &mut user, source, &mut rates).await,
                    Ok(Message::Binary(frame)) => self.handle_signal(&frame, &user, &mut rates).await,
                    Ok(Message::Ping(_) | Message::Pong(_)) => Ok(()),
                    Ok(Message::Close(_)) => Err(End::Gone),
                    Err(end) => Err(end),
                },
                next = seat.mailbox().next() => match next {
                    Next::Signal(frame) => self.send(Message::Binary(frame.into())).await,
                    Next::Replaced => Err(End::Replaced),
                },
                () = sleep_until(pinged + ping_every) => {
                    pinged = Instant::now();
                    self.send(Message::Ping(Default::default())).await
                }
                () = sleep_until(silent) => Err(End::Silent),
                () = until_expired(user.expires) => Err(End::Refused(Refused {
                    reason: login::NOT_PROVEN,
                    text: "what was proven at login has expired".to_owned(),
                })),
                () = until_closing(closing) => Err(End::Closing),
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    async fn handle_control(
        &mut self,
        text: &str,
        user: &mut User,
        source: std::net::SocketAddr,
        rates: &mut Rates,
    ) -> Result<(), End> {
        if !rates.control.take(CONTROL, 1.0, Instant::now()) {
            return Err(protocol("too many control messages"));
        }
        match read_control(text)? {
            FromClient::Refresh {} => {}
            FromClient::Token { token } => {
                let settings = self.rendezvous.settings.clone();
                *user = login::check_token(&settings, user.clone(), &token, clock::now()).map_err(End::Refused)?;
            }
            FromClient::Login(_) => return Err(protocol("a second login on one connection")),
        }
        *user = login::renewed(&self.rendezvous.settings, user.clone(), clock::now());
        self.welcome(user, source).await
    }

    async fn handle_signal(&mut self, frame: &[u8], user: &User, rates: &mut Rates) -> Result<(), End> {
        let (to, signal) = decode_signal(frame).map_err(protocol)?;
        let (now, rendezvous) = (Instant::now(), self.rendezvous.clone());
        let counters = &rendezvous.counters;
        if !rates.take_signal(frame.len(), now) {
            counters.signals_too_fast.increment(1);
            if rates.slow_said.is_none_or(|said| now >= said + SLOW_EVERY) {
                rates.slow_said = Some(now);
                self.say(&FromServer::Slow { text: "signals come faster than they may, and some were dropped" })
                    .await?;
            }
            return Ok(());
        }
        counters.signals.increment(1);
        counters.signal_bytes.increment(signal.len() as u64);
        match rendezvous.hub.send(user.app, user.steam_id, to, signal) {
            Sent::Waiting => Ok(()),
            Sent::Pushed => {
                counters.signals_pushed_out.increment(1);
                Ok(())
            }
            Sent::Offline => {
                counters.signals_offline.increment(1);
                if rendezvous.settings.rendezvous.offline_notices {
                    self.send(Message::Binary(encode_offline(to).into())).await?;
                }
                Ok(())
            }
        }
    }

    async fn welcome(&mut self, user: &User, source: std::net::SocketAddr) -> Result<(), End> {
        let welcome = self.rendezvous.welcome(user, source, clock::now());
        self.say(&FromServer::Welcome(welcome)).await
    }

    async fn read(&mut self) -> Result<Message, End> {
        match self.socket.recv().await {
            Some(Ok(frame)) => {
                self.heard = Instant::now();
                Ok(frame)
            }
            Some(Err(error)) => Err(if is_oversized(error) { End::Oversized } else { End::Gone }),
            None => Err(End::Gone),
        }
    }

    async fn say(&mut self, message: &FromServer) -> Result<(), End> {
        self.send(Message::Text(message.encode().into())).await
    }

    async fn send(&mut self, frame: Message) -> Result<(), End> {
        let patience = self.rendezvous.settings.rendezvous.silence.0;
        match timeout(patience, self.socket.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(End::Silent),
        }
    }

    /// Tells the client why, and waits a moment for him to have read it: a socket closed on unread bytes takes
    /// what was sent last with it.
    async fn say_goodbye(mut self, end: End) {
        let counters = &self.rendezvous.counters;
        let (last, code, why) = match end {
            End::Gone => return,
            End::Refused(refused) => {
                counters.refused.increment(1);
                (Some(FromServer::Refused(refused)), close_code::POLICY, "refused")
            }
            End::Replaced => (Some(FromServer::Replaced {}), close_code::POLICY, "replaced"),
            End::Oversized => (None, close_code::SIZE, "too long"),
            End::Silent => (None, close_code::POLICY, "silent for too long"),
            End::Closing => (None, close_code::AWAY, "the server ends"),
        };
        let goodbye = async {
            if let Some(last) = last {
                self.socket.send(Message::Text(last.encode().into())).await?;
            }
            self.socket.send(Message::Close(Some(CloseFrame { code, reason: why.into() }))).await?;
            while let Some(Ok(_)) = self.socket.recv().await {}
            Ok::<(), axum::Error>(())
        };
        // Whether he heard it changes nothing any more.
        let _ = timeout(GOODBYE, goodbye).await;
    }
}

/// How fast one client may be.
struct Rates {
    messages: (Rate, Bucket),
    bytes: (Rate, Bucket),
    control: Bucket,
    slow_said: Option<Instant>,
}

impl Rates {
    fn new(limits: &crate::config::file::Limits, now: Instant) -> Rates {
        let full = |rate| (rate, Bucket::new(rate, now));
        Rates {
            messages: full(Rate::new(limits.signals_per_second, 2)),
            bytes: full(Rate::new(limits.signal_bytes_per_second, 2)),
            control: Bucket::new(CONTROL, now),
            slow_said: None,
        }
    }

    fn take_signal(&mut self, len: usize, now: Instant) -> bool {
        self.messages.1.take(self.messages.0, 1.0, now) && self.bytes.1.take(self.bytes.0, len as f64, now)
    }
}

fn read_control(text: &str) -> Result<FromClient, End> {
    serde_json::from_str(text).map_err(|e| protocol(&format!("not understood: {e}")))
}

fn protocol(text: &str) -> End {
    End::Refused(Refused { reason: BAD_PROTOCOL, text: text.to_owned() })
}

fn broken() -> End {
    End::Refused(Refused { reason: 5_001, text: "the system gives no random numbers".to_owned() })
}

fn is_oversized(error: axum::Error) -> bool {
    let error = error.into_inner();
    matches!(error.downcast_ref(), Some(tungstenite::Error::Capacity(_)))
}

/// Waits for the second in which what was proven holds no more; without end if it holds for ever.
async fn until_expired(expires: Option<u64>) {
    let Some(expires) = expires else { return future::pending().await };
    // Looked at anew now and then: clocks are set, and they are not the one that sleeps are measured by.
    while clock::now() < expires {
        tokio::time::sleep(Duration::from_secs((expires - clock::now().min(expires)).clamp(1, 60))).await;
    }
}

async fn until_closing(closing: &mut tokio::sync::watch::Receiver<bool>) {
    // Whoever could say so is gone: then the server is about to end, too.
    let _ = closing.wait_for(|closing| *closing).await;
}
