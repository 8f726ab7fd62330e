"""Learnt prompts against sequences put together by hand and the whole text tower."""

import pytest
import torch
import torch.nn.functional as F

from imo.errors import InputError
from imo.model.backbone import tokenize
from imo.model.encode import encode_texts
from imo.model.prompts import ConditionalPromptLearner, PromptLearner, encode_prompts

NAMES = ["cat", "digit_seven", "unbelievably long name"]
START, END, STOP = 49406, 49407, int(tokenize(".")[0, 1])


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def whole_tower(model, embedded, ends):
    """The text tower over all 77 positions."""
    hidden = embedded + model.positional_embedding
    hidden = model.transformer(hidden.permute(1, 0, 2)).permute(1, 0, 2)
    hidden = model.ln_final(hidden)
    return torch.stack([row[end] for row, end in zip(hidden, ends)]) @ model.text_projection


def by_hand(model, contexts, position):
    """Text features of a prompt learner's prompts: each sequence laid out token by token."""
    sequences, ends = [], []
    embed = model.token_embedding.weight
    for name, context in zip(NAMES, contexts):
        tokens = tokenize(name.replace("_", " "))[0]
        name_rows = embed[tokens[1 : int(tokens.argmax())]]
        half = len(context) // 2
        middle = {
            "end": [context, name_rows],
            "front": [name_rows, context],
            "middle": [context[:half], name_rows, context[half:]],
        }[position]
        sequence = torch.cat([embed[START][None], *middle, embed[[STOP, END]]])
        ends.append(len(sequence) - 1)
        sequences.append(torch.cat([sequence, embed[0].expand(77 - len(sequence), -1)]))
    return whole_tower(model, torch.stack(sequences), ends)


@pytest.mark.parametrize("class_specific", [False, True])
@pytest.mark.parametrize("position", ["end", "middle", "front"])
def test_coop_prompts_against_a_layout_by_hand(tiny_clip, position, class_specific):
    learner = PromptLearner(tiny_clip, NAMES, 5, class_specific=class_specific, position=position)
    assert learner.ctx.shape == ((3, 5, 64) if class_specific else (5, 64))
    contexts = learner.ctx if class_specific else learner.ctx.expand(3, 5, 64)
    expected = by_hand(tiny_clip, contexts, position)
    torch.testing.assert_close(encode_prompts(tiny_clip, learner(), learner.ends), expected, atol=1e-5, rtol=1e-5)


def test_leaving_out_positions_changes_neither_features_nor_gradients(tiny_clip):
    learner = PromptLearner(tiny_clip, NAMES, 4)
    masks = [block.attn_mask for block in tiny_clip.transformer.resblocks]
    gradients = []
    for encode in (encode_prompts, whole_tower):
        learner.ctx.grad = None
        encode(tiny_clip, learner(), learner.ends).square().sum().backward()
        gradients.append(learner.ctx.grad.clone())
    assert float((gradients[0] - gradients[1]).norm()) < 1e-4 * float(gradients[1].norm())
    assert all(block.attn_mask is mask for block, mask in zip(tiny_clip.transformer.resblocks, masks))


@pytest.mark.parametrize("words", ["a photo of a", "a_photo_of_a", "an unbelievable photo of"])
def test_a_context_of_words_begins_at_the_zero_shot_prompt(tiny_clip, words):
    learner = PromptLearner(tiny_clip, NAMES, 16, ctx_init=words)
    expected = encode_texts(tiny_clip, NAMES, words.replace("_", " ") + " {}.")[:, 0]
    torch.testing.assert_close(encode_prompts(tiny_clip, learner(), learner.ends), expected, atol=1e-5, rtol=1e-5)
    assert learner.n_ctx == len(learner.ctx) == int(tokenize(words.replace("_", " "))[0].argmax()) - 1


def test_random_contexts_are_drawn_as_published(tiny_clip):
    learner = PromptLearner(tiny_clip, NAMES, 60)
    assert float(learner.ctx.detach().std()) == pytest.approx(0.02, rel=0.1)
    assert learner.initial == " ".join(["X"] * 60)
    assert [name for name, _ in learner.named_parameters()] == ["ctx"]


def test_published_checkpoints_load_and_fixed_tokens_stay(tiny_clip):
    source = PromptLearner(tiny_clip, ["dog", "horse"], 4)
    published = {
        "ctx": source.ctx.detach().half(),
        "token_prefix": source.token_prefix,
        "token_suffix": torch.zeros(2, 72, 64),
    }
    learner = PromptLearner(tiny_clip, NAMES, 4)
    suffix = learner.token_suffix.clone()
    learner.load_state_dict(published)
    torch.testing.assert_close(learner.ctx.detach(), source.ctx.detach().half().float())
    assert torch.equal(learner.token_suffix, suffix)
    assert set(learner.state_dict()) == {"ctx"}
    with pytest.raises(RuntimeError, match="ctx"):
        PromptLearner(tiny_clip, NAMES, 5).load_state_dict(published)


def test_cocoop_shifts_every_vector_by_its_network(tiny_clip, images):
    learner = ConditionalPromptLearner(tiny_clip, NAMES, 4)
    assert set(learner.state_dict()) == {
        "ctx", "meta_net.linear1.weight", "meta_net.linear1.bias", "meta_net.linear2.weight", "meta_net.linear2.bias",
    }  # fmt: skip
    feature = F.normalize(tiny_clip.visual(images), dim=-1)[0]
    net = learner.meta_net
    assert net.linear1.weight.shape == (2, 32)  # a sixteenth of the feature size
    hidden = torch.clamp(net.linear1.weight @ feature + net.linear1.bias, min=0)
    shift = net.linear2.weight @ hidden + net.linear2.bias
    expected = by_hand(tiny_clip, (learner.ctx + shift).expand(3, 4, 64), "end")
    found = encode_prompts(tiny_clip, learner(learner.shifts(feature[None])[0]), learner.ends)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"position": "start"}, "CLASS_TOKEN_POSITION.*end, middle, front.*'start'"),
        ({"n_ctx": 0}, "N_CTX.*1 to 75"),
        ({"n_ctx": 76}, "N_CTX.*1 to 75"),
        ({"ctx_init": "a " * 90}, "CTX_INIT.*shorten"),
        ({"n_ctx": 75}, "N_CTX.*fewer"),
    ],
)
def test_bad_options_are_named(tiny_clip, options, words):
    with pytest.raises(InputError, match=words):
        PromptLearner(tiny_clip, NAMES, **options)


def test_text_towers_of_another_make_are_refused(tiny_clip):
    tiny_clip.transformer.resblocks[0] = torch.nn.TransformerEncoderLayer(64, 1)
    with pytest.raises(InputError, match="open_clip"):
        PromptLearner(tiny_clip, NAMES)
