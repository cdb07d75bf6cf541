//! Where a secure run leaves the cleartext run: both parties in this process, over a link in memory, the shares of
//! every tensor held together as they are made.
//!
//! For whoever has the model and the input anyway. The parties are those of a session over TCP: handshake, plan,
//! set-up and protocols; what one sees of the other here is what the diagnosis is for.

use crate::cli::{Local, Plan};
use crate::failure::{Failure, Result};
use crate::input::Input;
use crate::linear::Prepared;
use crate::link::PlannedLink;
use crate::parameters::{self, Offered};
use crate::party;
use crate::planner::{self, Decision, Request};
use crate::two_party::{self, Model, NetDomain, Tensor, fuses_truncation};
use athos::{Program, Step, cleartext};
use sci_core::channel::{Link, memory};
use sci_core::session::{PublicOffer, SessionOptions};
use sci_core::{AnyDomain, Domain, Session};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use zeroize::Zeroizing;

/// What a secure run made of the instructions of a program.
#[derive(Debug, Default)]
pub(super) struct Secure {
    /// Tensors that were held against the cleartext run, over all inputs.
    pub(super) compared: usize,
    /// For every instruction, whether one differed.
    pub(super) differs: Vec<bool>,
}

impl Secure {
    /// The first instruction that differs.
    pub(super) fn first_difference(&self) -> Option<usize> {
        self.differs.iter().position(|&differs| differs)
    }
}

/// Runs a program securely, as a local run would, and compares every tensor of every input.
///
/// # Errors
/// Those of the plan, the inputs and the protocols.
pub(super) fn run(local: &Local, program: &Program, inputs: &[Input]) -> Result<Secure> {
    let integers = inputs.iter().map(|input| input.quantise(&program.public));
    let integers = integers.collect::<Result<Vec<_>>>()?;
    against(local, program, program, &integers)
}

/// [`run`] against the cleartext run of `meant`.
fn against(
    local: &Local,
    program: &Program,
    meant: &Program,
    inputs: &[Zeroizing<Vec<i64>>],
) -> Result<Secure> {
    match program.public.domain {
        AnyDomain::Ring(ring) => Both::over(local, program, ring)?.compare(meant, inputs),
        AnyDomain::Field(field) => Both::over(local, program, field)?.compare(meant, inputs),
    }
}

/// What both parties of a run in this process need.
struct Both<'a, D: Domain> {
    program: &'a Program,
    domain: D,
    decision: Decision<D>,
    prepared: Prepared,
    offer: PublicOffer,
    options: SessionOptions,
}

/// A party's end of the comparison: its tensors, one after the other.
type Tensors<D> = SyncSender<Tensor<D>>;

impl<'a, D: NetDomain> Both<'a, D> {
    fn over(local: &Local, program: &'a Program, domain: D) -> Result<Self> {
        let Plan { backend, exactness, ot, radix, .. } = local.plan;
        let (style, link) = (local.plan.style_over(domain.any()), local.link);
        let threads = party::local_threads(&local.party);
        let request = Request { backend, style, exactness, link, threads, ot, radix };
        let decision = planner::decide(&program.public, domain, &request)?;
        let prepared = Prepared::new(&decision.protocols, program, local.party.memory)?;
        let offered = Offered {
            backend,
            assignment: decision.assignment.clone(),
            style,
            exactness,
            settings: decision.settings,
            max_inputs: u32::MAX,
            link: PlannedLink::given(link),
        };
        let offer = parameters::offer(&program.public, &offered)?;
        let options = party::session_options(threads, local.party.timeout);
        Ok(Self { program, domain, decision, prepared, offer, options })
    }

    fn compare(&self, meant: &Program, inputs: &[Zeroizing<Vec<i64>>]) -> Result<Secure> {
        let (left, right) = memory::pair();
        let (serving, server) = sync_channel(1);
        let (asking, client) = sync_channel(1);
        std::thread::scope(|scope| {
            let serving = scope.spawn(|| self.serve(left, inputs.len(), serving));
            let asking = scope.spawn(|| self.ask(right, inputs, asking));
            let compared = self.held_together(meant, inputs, &server, &client);
            // A party that still runs gets rid of its tensors.
            drop((server, client));
            let defect = |_| Failure::new("misuse", "a party ended in a defect");
            let (served, asked) = (serving.join().map_err(defect)?, asking.join().map_err(defect)?);
            served.and(asked).and(compared)
        })
    }

    fn serve(&self, link: Link, inputs: usize, tensors: Tensors<D>) -> Result<()> {
        let protocols = &*self.decision.protocols;
        let (program, domain, prepared) = (self.program, self.domain, &self.prepared);
        let session = Session::serve(link, self.options, &self.offer)?;
        let mut peer = party::establish(session, self.decision.settings)?;
        let keys = two_party::receive_keys(&mut peer, protocols)?;
        let model = Model { program, domain, protocols, prepared };
        for _ in 0..inputs {
            two_party::serve_input(&mut peer, model, keys.as_ref(), |step| tell(&tensors, &step))?;
        }
        Ok(())
    }

    fn ask(&self, link: Link, inputs: &[Zeroizing<Vec<i64>>], tensors: Tensors<D>) -> Result<()> {
        let (public, protocols) = (&self.program.public, &*self.decision.protocols);
        let most = self.offer.blob.len();
        let (session, _) = Session::join(link, self.options, Vec::new(), most, |_| Ok(()))?;
        let mut peer = party::establish(session, self.decision.settings)?;
        let keys = two_party::send_keys(&mut peer, protocols)?;
        for input in inputs {
            let (keys, tell) = (keys.as_ref(), |step: Step<'_, _>| tell(&tensors, &step));
            two_party::ask(&mut peer, public, protocols, self.domain, keys, input, tell)?;
        }
        Ok(())
    }

    /// The cleartext run beside what both parties tell.
    fn held_together(
        &self,
        meant: &Program,
        inputs: &[Zeroizing<Vec<i64>>],
        server: &Receiver<Tensor<D>>,
        client: &Receiver<Tensor<D>>,
    ) -> Result<Secure> {
        let instructions = self.program.public.instructions.len();
        let mut secure = Secure { compared: 0, differs: vec![false; instructions] };
        let fuses = fuses_truncation(&self.decision.protocols);
        for input in inputs {
            cleartext::run_as(meant, input, fuses, |step| {
                // A party that has failed says why when it is joined.
                let (Ok(one), Ok(other)) = (server.recv(), client.recv()) else { return };
                secure.compared += 1;
                let same = Tensor::revealed(&one, &other).is_some_and(|x| x == *step.value);
                if let Some(differs) = secure.differs.get_mut(step.index) {
                    *differs |= !same;
                }
            })?;
        }
        Ok(secure)
    }
}

fn tell<D: Domain>(tensors: &Tensors<D>, step: &Step<'_, Tensor<D>>) {
    // Nobody listens any more once the comparison has failed.
    let _ = tensors.send(step.value.clone());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Command, Parsed, parse};
    use athos::llil::{Instruction, Op};
    use athos::program::WeightData;
    use athos::{WeightId, Weights};
    use std::ffi::OsString;

    fn local(line: &[&str]) -> Local {
        let line = [&["sci-run", "--model", "digits", "--threads", "1"], line].concat();
        match parse(line.into_iter().map(OsString::from)) {
            Parsed::Run(command, _) => match *command {
                Command::Local(local) => local,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    fn inputs(local: &Local, program: &Program, n: usize) -> Vec<Zeroizing<Vec<i64>>> {
        let inputs = crate::input::read(&local.inputs).unwrap();
        inputs.iter().take(n).map(|input| input.quantise(&program.public).unwrap()).collect()
    }

    #[test]
    fn every_tensor_of_every_input_is_compared() {
        for line in [
            &["--backend", "ot"][..],
            &["--backend", "he"],
            &["--backend", "he", "--domain", "field"],
        ] {
            let local = local(line);
            let program = local.model.load(&local.plan).unwrap();
            let inputs = inputs(&local, &program, 2);
            let secure = against(&local, &program, &program, &inputs).unwrap();
            assert_eq!(secure.compared, 2 * program.public.instructions.len(), "{line:?}");
            assert_eq!(secure.first_difference(), None, "{line:?}");
        }
    }

    #[test]
    fn the_first_tensor_that_differs_is_found() {
        let local = local(&["--backend", "ot"]);
        let program = local.model.load(&local.plan).unwrap();
        let inputs = inputs(&local, &program, 1);
        let mut other = local.model.load(&local.plan).unwrap();
        // One more in the bias of the last layer.
        let (last, layer) = (other.public.weights.len() - 1, "the last weights are a bias");
        let weights = (0..=last).map(|id| {
            let info = &other.public.weights[id];
            let mut values = other.weights.get(WeightId(id as u32)).unwrap().to_signed();
            values[0] += i64::from(id == last);
            WeightData::new(&info.name, &values, other.public.bits_of(info)).unwrap()
        });
        other.weights = Weights::new(weights.collect());
        let reads = |x: &Instruction| matches!(x.op, Op::Linear { bias: Some(id), .. } if id.index() == last);
        let place = other.public.instructions.iter().position(reads).expect(layer);
        let secure = against(&local, &program, &other, &inputs).unwrap();
        assert_eq!(secure.first_difference(), Some(place));
    }

    #[test]
    fn a_session_that_fails_says_why() {
        let local = local(&["--backend", "ot", "--timeout", "5"]);
        let program = local.model.load(&local.plan).unwrap();
        let wrong = vec![Zeroizing::new(vec![0; 3])];
        assert!(against(&local, &program, &program, &wrong).is_err());
    }
}
