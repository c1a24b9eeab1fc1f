"""The sampler against pquant.sampling: equal logits give equal distributions and equal picks, to the last bit."""

import itertools
import sys
import unittest

import numpy as np
from text_api import Sampler

from pquant.sampling import Sampler as Reference
from pquant.sampling import Sampling, random_number, weigh


class SamplerTest(unittest.TestCase):
    def logits(self, generator, size):
        """Plain; with ties; with tokens ruled out; of a wide range; all equal."""
        logits = (generator.normal(size=size) * 3).astype(np.float32)
        masked = np.where(generator.random(size) < 0.5, np.float32(-np.inf), logits)
        masked[-1] = 1
        return logits, np.round(logits), masked, 20 * logits, np.zeros(size, np.float32)

    def test_equals_reference(self):
        generator = np.random.default_rng(0)
        for size in (1, 2, 5, 100, 4096):
            grid = itertools.product((0, 0.3, 1, 5), (0, 1, 2, 40, size), (1, 0.9, 0.1, 1e-9), (1, 1.3, 0.7))
            for temperature, top_k, top_p, penalty in grid:
                sampling = Sampling(temperature, top_k, top_p, penalty, 5, int(generator.integers(2**63)))
                got, want = Sampler(sampling, size), Reference(sampling)
                for each in (got, want):
                    each.accept(list(range(0, size, 1 + size // 7)))
                for logits in self.logits(generator, size):
                    np.testing.assert_array_equal(got.weights(logits), want.weights(logits), str(sampling))
                    self.assertEqual(got.sample(logits), want.sample(logits), sampling)

    def test_exponential(self):
        x = -np.linspace(0, 28, 10001)
        exact = np.exp(x.astype(np.longdouble)) * 2**40
        self.assertLess(np.abs(weigh(x).astype(np.longdouble) - exact).max(), 0.501)
        self.assertEqual(int(weigh(np.float64(0))), 2**40)

    def test_frequencies(self):
        """Draws follow the distribution: no token is off by five standard deviations."""
        logits, count = np.log(np.array([0.5, 0.25, 0.125, 0.1, 0.025], np.float32)), 20000
        sampler = Sampler(Sampling(temperature=1, seed=3), 5)
        drawn = np.bincount([sampler.sample(logits) for _ in range(count)], minlength=5)
        p = np.exp(logits.astype(float))
        self.assertTrue((np.abs(drawn - count * p) < 5 * np.sqrt(count * p * (1 - p))).all(), drawn)

    def test_generator(self):
        """The published first numbers of SplitMix64 for seed 1234567."""
        numbers = [random_number(1234567, i) for i in range(3)]
        self.assertEqual(numbers, [6457827717110365317, 3203168211198807973, 9817491932198370423])

    def test_reset_and_seed(self):
        logits = np.zeros(1000, np.float32)
        sampler = Sampler(Sampling(temperature=1, repeat_penalty=2, seed=7), 1000)
        first = [sampler.sample(logits) for _ in range(20)]
        self.assertNotEqual(first, [sampler.sample(logits) for _ in range(20)])
        sampler.reset()
        self.assertEqual(first, [sampler.sample(logits) for _ in range(20)])

    def test_penalty(self):
        sampler = Sampler(Sampling(repeat_penalty=2, repeat_window=2), 3)
        logits = np.array([4, 3, 2.5], np.float32)
        self.assertEqual([sampler.sample(logits) for _ in range(5)], [0, 1, 2, 0, 1])

    def test_refused(self):
        for text, options in (
            ("expected a temperature of 0 or from 1e-6 up, but got -1", {"temperature": -1}),
            ("expected a temperature of 0 or from 1e-6 up, but got nan", {"temperature": float("nan")}),
            ("expected a top-k from 0 up, but got -2", {"top_k": -2}),
            ("expected a top-p above 0 and up to 1, but got 1.5", {"top_p": 1.5}),
            ("expected a repetition penalty above 0, but got 0", {"repeat_penalty": 0}),
            ("expected a repetition window of 0 to 1048576, but got -1", {"repeat_window": -1}),
        ):
            with self.assertRaisesRegex(ValueError, text):
                Sampler(Sampling(**options), 4)
        with self.assertRaisesRegex(ValueError, "expected a vocabulary of 1 to 4194304 tokens, but got 0"):
            Sampler(Sampling(), 0)
        sampler = Sampler(Sampling(), 4)
        with self.assertRaisesRegex(ValueError, r"expected float32 logits of one token, \[1, 4\], but got float32 of rank 2 with 3"):
            sampler.sample(np.zeros(3, np.float32))
        with self.assertRaisesRegex(ValueError, "but got float64 of rank 2"):
            sampler.sample(np.zeros(4))
        for bad in (np.nan, np.inf):
            with self.assertRaisesRegex(ValueError, "expected finite logits, but got NaN or infinity"):
                sampler.sample(np.array([0, bad, 0, 0], np.float32))
        with self.assertRaisesRegex(ValueError, "expected finite logits"):
            sampler.sample(np.full(4, -np.inf, np.float32))
        with self.assertRaisesRegex(ValueError, "expected tokens of 0 to 3, but got 4"):
            sampler.accept([1, 4])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
