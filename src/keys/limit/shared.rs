//! One count for all replicas, in a Redis: one round trip with the server's own clock, bounded in time.
//! While it does not answer, it is asked once a second and nobody waits for it.

use super::{Asked, Standing, Subject};
use crate::settings::access::Rate;
use crate::store::{Connection, Store, StoreError};
use redis::Cmd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The longest that a use waits for the count.
pub(super) const LIMIT: Duration = Duration::from_millis(25);
/// How long nobody asks a Redis that did not answer.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The generic cell rate algorithm; times in microseconds, which Lua's numbers hold exactly until the year 2255.
/// KEYS: whose uses. ARGV: from one use to the next, how many in a row, whether to count.
/// Answers: whether it is allowed, how many are left, until all are back, until the next one is allowed.
const SCRIPT: &str = "\
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local whole = interval * burst
local back = tonumber(redis.call('GET', KEYS[1]) or now)
if back < now then back = now end
local next = back + interval
local allowed = next - now <= whole + 0.5
local retry = 0
if not allowed then
  retry = next - now - whole
elseif ARGV[3] == '1' then
  back = next
  redis.call('SET', KEYS[1], string.format('%.3f', back), 'PX', math.ceil((back - now) / 1000) + 1000)
end
local left = math.max(0, math.floor((whole - (back - now)) / interval + 0.001))
return { allowed and 1 or 0, left, math.ceil(back - now), math.ceil(retry) }";

/// Whether the Redis answers, as far as is known.
pub(super) struct Away {
    began: Instant,
    /// Until when nobody asks, in microseconds since `began`; 0: it answers.
    until: AtomicU64,
}

impl Default for Away {
    fn default() -> Self {
        Self { began: Instant::now(), until: AtomicU64::new(0) }
    }
}

impl Away {
    /// Asks for one subject; `None` where there is no answer in time.
    pub(super) async fn ask(&self, store: &Store, rate: Rate, subject: &Subject, asked: Asked) -> Option<Standing> {
        let away = self.until.load(Ordering::Acquire);
        if away != 0 && !self.is_my_turn(away) {
            return None;
        }
        let answer = tokio::time::timeout(LIMIT, ask(store, rate, subject, asked)).await;
        let answer = answer.unwrap_or(Err(StoreError::TimedOut { what: "counting a use", limit: LIMIT }));
        match answer {
            Ok(standing) => {
                if self.until.swap(0, Ordering::AcqRel) != 0 {
                    tracing::info!("one rate limit holds across replicas again");
                }
                Some(standing)
            }
            Err(error) => {
                if self.until.swap(self.micros(ASK_AGAIN), Ordering::AcqRel) == 0 {
                    tracing::warn!("no rate limit across replicas, each allows its share: the store {error}");
                }
                None
            }
        }
    }

    /// While it is away, one of many asks: whoever moves the instant first.
    fn is_my_turn(&self, until: u64) -> bool {
        until <= self.micros(Duration::ZERO)
            && self.until.compare_exchange(until, self.micros(ASK_AGAIN), Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// In a while, since `began`; never 0.
    fn micros(&self, ahead: Duration) -> u64 {
        u64::try_from((self.began.elapsed() + ahead).as_micros()).unwrap_or(u64::MAX).max(1)
    }
}

async fn ask(store: &Store, rate: Rate, (policy, kid): &Subject, asked: Asked) -> Result<Standing, StoreError> {
    let Connection::Redis(redis) = store.connection() else {
        return Err(StoreError::Unexpected("it is not a Redis".into()));
    };
    // The rate is part of the name: another one begins anew, as it does in a process.
    let name = format!("monolith:rate:{}:{rate}:{kid}", policy.as_ref().map_or("-", |policy| policy.as_str()));
    let mut command = Cmd::new();
    command.arg("EVAL").arg(SCRIPT).arg(1).arg(name);
    command.arg(format!("{:.3}", rate.interval().as_nanos() as f64 / 1000.0)).arg(rate.count);
    command.arg(u8::from(asked == Asked::Use));
    let (allowed, left, reset, retry): (u8, u32, u64, u64) = redis.call("counting a use", &command).await?;
    Ok(Standing {
        allowed: allowed == 1,
        limit: rate.count,
        remaining: left.min(rate.count),
        reset: Duration::from_micros(reset),
        retry_after: Duration::from_micros(retry),
    })
}
