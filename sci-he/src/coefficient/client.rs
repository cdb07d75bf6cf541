//! The client's part of a layer as functions on messages.

use super::Layer;
use crate::session::ClientKeys;
use sci_core::{Domain, Error, Prg, Result};
use std::borrow::Cow;
use zeroize::{Zeroize, Zeroizing};

/// A share in the order of the convolution; wiped if it is a copy.
pub(super) struct Arranged<'a>(Cow<'a, [u64]>);

impl std::ops::Deref for Arranged<'_> {
    type Target = [u64];
    fn deref(&self) -> &[u64] {
        &self.0
    }
}

impl Drop for Arranged<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(values) = &mut self.0 {
            values.zeroize();
        }
    }
}

impl<D: Domain> Layer<D> {
    /// A party's share of the input in the order of the convolution.
    pub(super) fn arranged<'a>(&self, share: &'a [u64]) -> Result<Arranged<'a>> {
        let expected = self.form.input_len;
        let domain = self.context.params().domain();
        if share.len() != expected {
            return Err(Error::misuse(format!("a share of {}, not {expected}", share.len())));
        }
        if !share.iter().fold(true, |all, &x| all & domain.is_canonical(x)) {
            return Err(Error::misuse("a share that is not canonical"));
        }
        Ok(Arranged(self.form.arrange_input(share).map_or(Cow::Borrowed(share), Cow::Owned)))
    }

    /// The client's messages for all requests from its share of the input, each handed to `send`, in
    /// the order of [`super::Layout::request_order`].
    ///
    /// # Errors
    /// [`Error::Misuse`] if the share or the keys do not belong to the layer, or whatever `send`
    /// returns.
    pub fn requests(
        &self,
        keys: &ClientKeys<D>,
        share: &[u64],
        prg: &mut Prg,
        mut send: impl FnMut(Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let (secret, workers) = (keys.of(self)?, keys.workers());
        let x = self.arranged(share)?;
        let seed = Zeroizing::new(prg.next_block());
        let order: Vec<_> = self.layout.request_order().collect();
        let at_once = 2 * workers.threads();
        for (number, requests) in order.chunks(at_once).enumerate() {
            let messages = workers.map(requests.len(), |i| {
                let mut prg = Prg::with_stream(*seed, (number * at_once + i) as u64);
                let x = Zeroizing::new(self.layout.input_coefficients(requests[i], &x));
                secret.encrypt(&self.context, &x, &mut prg)
            });
            messages.into_iter().try_for_each(&mut send)?;
        }
        Ok(())
    }

    /// Bytes of each response, in the order of sending.
    pub fn response_lengths(&self) -> impl Iterator<Item = usize> {
        self.layout.response_sizes().map(|wanted| self.context.response_len(wanted))
    }

    /// The client's share of the output from all responses; `next` is told the length of each.
    ///
    /// # Errors
    /// [`Error::PeerMisbehaved`] if a message is not a response, [`Error::Misuse`] if the keys do not
    /// belong to the layer, or whatever `next` returns.
    pub fn open<M: AsRef<[u8]> + Send + Sync>(
        &self,
        keys: &ClientKeys<D>,
        mut next: impl FnMut(usize) -> Result<M>,
    ) -> Result<Vec<u64>> {
        let (secret, workers) = (keys.of(self)?, keys.workers());
        let mut output = Zeroizing::new(vec![0; self.output_len()]);
        let lengths: Vec<usize> = self.response_lengths().collect();
        let at_once = workers.threads();
        for (number, lengths) in lengths.chunks(at_once).enumerate() {
            let messages = lengths.iter().map(|&len| next(len)).collect::<Result<Vec<_>>>()?;
            let opened = workers.map(messages.len(), |i| {
                let (coefficients, places) = self.layout.wanted_of(number * at_once + i);
                let values = secret.decrypt(&self.context, messages[i].as_ref(), &coefficients)?;
                Ok((places, Zeroizing::new(values)))
            });
            for result in opened {
                let (places, values) = result?;
                for (&place, &value) in places.iter().zip(values.iter()) {
                    if let Some(place) = self.form.place(place) {
                        output[place] = value;
                    }
                }
            }
        }
        Ok(std::mem::take(&mut *output))
    }
}
