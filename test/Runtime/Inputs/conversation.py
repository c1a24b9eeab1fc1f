"""A conversation by the library's parts, each answer from all tokens before it: conversation.py MODEL.so TOKENIZER.

Prints what `chat --interactive --system "Be brief" -n 6` prints for the lines "hello <|end|> there", "/reset", "more"
and "and more", by the template of text.test.
"""

import sys

import sentencepiece

from pquant import runtime
from pquant.generate import CompiledModel, generate
from pquant.sampling import Sampling

library, path = sys.argv[1:]
tokenizer = sentencepiece.SentencePieceProcessor(model_file=path)
END, USER, ASSISTANT, BEGIN = (tokenizer.piece_to_id(p) for p in ("<|end|>", "<|user|>", "<|assistant|>", "<s>"))


def opening(text):
    return [BEGIN, *tokenizer.encode("Be brief "), *message(text)]


def message(text):
    return [USER, *tokenizer.encode(text), END, ASSISTANT]


def answer(history):
    model = CompiledModel(library, capacity=len(history) + 6)
    made = []
    for token in generate(model, history, 6, Sampling(), tokenizer.eos_id()):
        if token == END:
            break
        made.append(token)
    print(tokenizer.decode(made))
    return history + made


answer(opening("hello <|end|> there"))
history = answer(opening("more"))
answer([*history, END, *tokenizer.encode("--"), *message("and more")])
