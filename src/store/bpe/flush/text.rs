//! The text of the statement that stores steps of several instances at once, each for itself.
//!
//! Steps come as one array for each column of `step`, their rows as one array for each column of a
//! table, with the instance that each row belongs to. In the parts that most steps have, the arrays
//! are looked into by number: `unnest` of seven arrays costs a single step seven times as much as of
//! one. Every part hangs on `own`, the guarded
//! changes of the instance rows: a step whose guard finds no row leaves nothing behind. Joins are
//! written so that no order of them but the given one has an index, see [`super::super`].

use super::{Flush, Left, Own};

/// A part of the statement. Each one costs PostgreSQL some time even where it finds nothing to do.
struct Part {
    group: Group,
    is_needed: fn(&Flush) -> bool,
    text: &'static str,
}

/// Parts that are left out or put in together when steps of several instances share a statement:
/// every connection keeps each combination prepared, and crowds would make a great many.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Always,
    Lives,
    Waits,
    Messages,
    Blobs,
    Pages,
}

const STEP: &str = "step as (
    select s.id, $2[n::int] as rev, $3[n::int] as epoch, $4[n::int] as state,
        $5[n::int] as alternative_key, $6[n::int] as lease, $7[n::int] as suspended,
        $8[n::int] as outcome, $9[n::int] as definition, $10[n::int] as business_key,
        $11[n::int] as caller, $12[n::int] as caller_frame, $13[n::int] as task,
        $14[n::int] as task_epoch, $15[n::int] as sent, $16[n::int] as sent_epoch
    from unnest($1) with ordinality s (id, n))";

/// Lock the inbox and outbox rows that the steps consume. They are leased to us; should the lease
/// have passed to somebody else, the lock finds no row and the step changes nothing.
static CONSUMED: [Part; 2] = [
    Part {
        group: Group::Messages,
        is_needed: |flush| flush.received.is_some(),
        text: "taken as (
    select inbox.task from step join inbox
        on inbox.task = any (array[step.task]) and inbox.lease_epoch = step.task_epoch
    where inbox.status || '' = 'claimed' for update of inbox)",
    },
    Part {
        group: Group::Messages,
        is_needed: |flush| flush.sent.is_some(),
        text: "delivered as (
    select outbox.id from step join outbox
        on outbox.id = any (array[step.sent]) and outbox.lease_epoch = step.sent_epoch
    for update of outbox)",
    },
];
const GUARDS: [&str; 2] = [
    " and (step.task is null or step.task in (select taken.task from taken))",
    " and (step.sent is null or step.sent in (select delivered.id from delivered))",
];

/// What happens to the rows of instances that begin, begin and end at once, go on, and end.
static OWN: [Part; 4] = [
    Part {
        group: Group::Lives,
        is_needed: |flush| is_new(flush) && !is_over(flush),
        text: "insert into instance
        (id, definition, business_key, state, alternative_key, rev, lease_epoch, lease_until,
         caller, caller_frame, suspended)
    select step.id, step.definition, step.business_key, step.state, step.alternative_key, 1, 1,
        case when step.lease > 0 then now() + make_interval(secs => step.lease) end,
        step.caller, step.caller_frame, step.suspended
    from step where step.rev is null and step.outcome is null{guards}
    returning id",
    },
    Part {
        group: Group::Lives,
        is_needed: |flush| is_new(flush) && is_over(flush),
        text: "select step.id
    from step where step.rev is null and step.outcome is not null{guards}",
    },
    Part {
        group: Group::Always,
        is_needed: |flush| !is_new(flush) && !is_over(flush),
        text: "update instance set
        state = step.state, alternative_key = step.alternative_key, rev = instance.rev + 1,
        suspended = step.suspended,
        lease_until = case when step.lease > 0 then now() + make_interval(secs => step.lease) end
    from step
    where instance.id = any (array[step.id]) and instance.rev = step.rev and instance.lease_epoch = step.epoch
        and step.outcome is null{guards}
    returning instance.id",
    },
    Part {
        group: Group::Lives,
        is_needed: |flush| !is_new(flush) && is_over(flush),
        text: "delete from instance using step
    where instance.id = any (array[step.id]) and instance.rev = step.rev and instance.lease_epoch = step.epoch
        and step.outcome is not null{guards}
    returning instance.id",
    },
];

/// The rows that belong to steps. What holds of an instance alone is asked in this way and not by a
/// join, so that rows are made in the order in which they are given.
static ROWS: [Part; 14] = [
    Part {
        group: Group::Messages,
        is_needed: |flush| flush.sent.is_some(),
        text: "gone_sent as (
    delete from outbox using step
    where outbox.id = any (array[step.sent]) and step.id = any (array(select own.id from own)))",
    },
    Part {
        group: Group::Waits,
        is_needed: |flush| !flush.delete_subscriptions.is_empty(),
        text: "gone_subscriptions as (
    delete from subscription using unnest($17) with ordinality s (instance, n)
    where subscription.instance = any (array[s.instance]) and subscription.id = $18[n::int]
        and s.instance = any (array(select own.id from own)))",
    },
    Part {
        group: Group::Waits,
        is_needed: |flush| !flush.put_subscriptions.is_empty(),
        text: "new_subscriptions as (
    insert into subscription (instance, id, kind, name, activity, correlation_key)
    select s.instance, $20[n::int], $21[n::int], $22[n::int], $23[n::int], $24[n::int]
    from unnest($19) with ordinality s (instance, n)
    where s.instance = any (array(select own.id from own))
    on conflict (instance, id) do update set correlation_key = excluded.correlation_key)",
    },
    Part {
        group: Group::Waits,
        is_needed: |flush| !flush.delete_jobs.is_empty(),
        text: "gone_jobs as (
    delete from job using unnest($25) with ordinality j (instance, n)
    where job.instance = any (array[j.instance]) and job.id = $26[n::int]
        and j.instance = any (array(select own.id from own)))",
    },
    Part {
        group: Group::Waits,
        is_needed: |flush| !flush.put_jobs.is_empty(),
        text: "new_jobs as (
    insert into job (instance, id, kind, activity, due, retries, incident)
    select j.instance, $28[n::int], $29[n::int], $30[n::int], $31[n::int], $32[n::int],
        $33[n::int]
    from unnest($27) with ordinality j (instance, n)
    where j.instance = any (array(select own.id from own))
    on conflict (instance, id) do update
        set due = excluded.due, retries = excluded.retries, incident = excluded.incident)",
    },
    Part {
        group: Group::Messages,
        is_needed: |flush| flush.received.is_some() || !flush.tasks.is_empty(),
        text: "tasks as (
    update inbox set
        document = coalesce(t.document, inbox.document),
        status = case when t.answered then 'answered' else 'delivered' end,
        instance = t.instance,
        scope = case when t.received then t.scope else inbox.scope end,
        starts = inbox.starts or (t.received and t.scope is null),
        held_until = null
    from unnest($34, $35, $36, $37, $38, $39)
        t (instance, task, document, answered, received, scope)
    where inbox.task = any (array[t.task]) and t.instance = any (array(select own.id from own)))",
    },
    Part {
        group: Group::Messages,
        is_needed: |flush| !flush.outbox.is_empty(),
        text: "new_outbox as (
    insert into outbox (id, kind, instance, frame, task, document, address, call, deadline)
    select o.id, o.kind, o.instance, o.frame, o.task, o.document, o.address, o.call,
        clock_timestamp() + make_interval(secs => o.patience)
    from unnest($40, $41, $42, $43, $44, $45, $46, $47, $48)
        o (instance, id, kind, frame, task, document, address, call, patience)
    where o.instance = any (array(select own.id from own)))",
    },
    Part {
        group: Group::Always,
        is_needed: |flush| !flush.history.is_empty(),
        text: "new_history as (
    insert into history (instance, rev, seq, at, event, activity, detail)
    select h.instance, $50[n::int], $51[n::int], $52[n::int], $53[n::int], $54[n::int],
        $55[n::int]
    from unnest($49) with ordinality h (instance, n)
    where h.instance = any (array(select own.id from own)))",
    },
    Part {
        group: Group::Lives,
        is_needed: is_new,
        text: "begun as (
    insert into history_instance
        (id, definition, business_key, started, ended, outcome, caller, caller_frame)
    select step.id, step.definition, step.business_key, now(),
        case when step.outcome is not null then now() end, step.outcome,
        step.caller, step.caller_frame
    from step where step.rev is null and step.id = any (array(select own.id from own)))",
    },
    Part {
        group: Group::Lives,
        is_needed: |flush| !is_new(flush) && is_over(flush),
        text: "over as (
    update history_instance set ended = now(), outcome = step.outcome
    from step
    where history_instance.id = any (array[step.id]) and step.rev is not null and step.outcome is not null
        and step.id = any (array(select own.id from own)))",
    },
    Part {
        group: Group::Blobs,
        is_needed: |flush| flush.blobs.is_some(),
        text: "new_blobs as (
    insert into blob (instance, digest, content)
    select * from unnest($56, $57, $58) b (instance, digest, content)
    where b.instance = any (array(select own.id from own))
    on conflict do nothing)",
    },
    Part {
        group: Group::Blobs,
        is_needed: |flush| flush.blobs.is_some(),
        text: "gone_blobs as (
    delete from blob using unnest($59, $60) b (instance, digest)
    where blob.instance = any (array[b.instance]) and blob.digest = any (array[b.digest])
        and b.instance = any (array(select own.id from own)))",
    },
    Part {
        group: Group::Pages,
        is_needed: |flush| flush.pages.is_some(),
        text: "put_pages as (
    insert into page (instance, page, state)
    select * from unnest($61, $62, $63) p (instance, page, state)
    where p.instance = any (array(select own.id from own))
    on conflict (instance, page) do update set state = excluded.state)",
    },
    Part {
        group: Group::Pages,
        is_needed: |flush| flush.pages.is_some(),
        text: "gone_pages as (
    delete from page using unnest($64, $65) p (instance, page)
    where page.instance = any (array[p.instance]) and page.page = any (array[p.page])
        and p.instance = any (array(select own.id from own)))",
    },
];

fn is_new(flush: &Flush) -> bool {
    matches!(flush.own, Own::Start { .. })
}

fn is_over(flush: &Flush) -> bool {
    matches!(flush.left, Left::Ended { .. })
}

/// The parts that these steps need. The statement answers the instances that were changed.
pub(super) fn text(steps: &[&Flush]) -> String {
    let is_used = |part: &Part| {
        let alike = |other: &&Part| match steps {
            [_] => std::ptr::eq(*other, part),
            _ => other.group == part.group,
        };
        let all = CONSUMED.iter().chain(&OWN).chain(&ROWS);
        let mut alike = all.filter(alike);
        alike.any(|other| steps.iter().any(|flush| (other.is_needed)(flush)))
    };
    let mut parts = vec![STEP.to_owned()];
    let mut guards = String::new();
    for (part, guard) in CONSUMED.iter().zip(GUARDS) {
        if is_used(part) {
            parts.push(part.text.to_owned());
            guards.push_str(guard);
        }
    }
    let own = OWN.iter().filter(|part| is_used(part));
    let own: Vec<String> = own
        .map(|part| part.text.replace("{guards}", &guards))
        .collect();
    match own.as_slice() {
        [one] => parts.push(format!("own as ({one})")),
        several => {
            let mut union = Vec::new();
            for (number, part) in several.iter().enumerate() {
                parts.push(format!("own{number} as ({part})"));
                union.push(format!("select id from own{number}"));
            }
            parts.push(format!("own as ({})", union.join(" union all ")));
        }
    }
    let rows = ROWS.iter().filter(|part| is_used(part));
    parts.extend(rows.map(|part| part.text.to_owned()));
    format!("with {}\nselect own.id from own", parts.join(",\n"))
}
