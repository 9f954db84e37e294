/*
 * chat_formats.c - the chat formats that exist here: how each writes a message and asks for an answer.
 */
#include <string.h>

#include "chat_format.h"

static const ink_chat_format_row formats[] = {
    {
        .name = "chatml",
        .tokens = {"<|im_start|>", "<|im_end|>"},
        .before = {"<|im_start|>system\n", "<|im_start|>user\n", "<|im_start|>assistant\n"},
        .after = {"<|im_end|>\n", "<|im_end|>\n", "<|im_end|>\n"},
        .ask = "<|im_start|>assistant\n",
        .end = "<|im_end|>\n",
    },
    {
        .name = "llama-3",
        .tokens = {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
        .before = {"<|start_header_id|>system<|end_header_id|>\n\n", "<|start_header_id|>user<|end_header_id|>\n\n",
                   "<|start_header_id|>assistant<|end_header_id|>\n\n"},
        .after = {"<|eot_id|>", "<|eot_id|>", "<|eot_id|>"},
        .ask = "<|start_header_id|>assistant<|end_header_id|>\n\n",
        .end = "<|eot_id|>",
        .begins = true,
        .trims = true,
    },
    {
        .name = "llama-2",
        .before = {"<<SYS>>\n", "{bos}[INST] ", " "},
        .after = {"\n<</SYS>>\n\n", " [/INST]", " {eos}"},
        .ask = "",
        .end = "{eos}",
        .trims = true,
        .joins = true,
    },
    {
        .name = "mistral-v0",
        .before = {NULL, "[INST] ", ""},
        .after = {"\n\n", " [/INST]", "{eos}"},
        .ask = "",
        .end = "{eos}",
        .begins = true,
        .joins = true,
    },
    {
        .name = "mistral-v1",
        .before = {"", " [INST] ", " "},
        .after = {"\n\n", " [/INST]", "{eos}"},
        .ask = "",
        .end = "{eos}",
        .begins = true,
        .joins = true,
    },
    {
        .name = "mistral-v3",
        .tokens = {"[INST]", "[/INST]"},
        .before = {"", "[INST] ", " "},
        .after = {"\n\n", "[/INST]", "{eos}"},
        .ask = "",
        .end = "{eos}",
        .begins = true,
        .joins = true,
    },
    {
        .name = "gemma",
        .tokens = {"<start_of_turn>", "<end_of_turn>"},
        .before = {"", "<start_of_turn>user\n", "<start_of_turn>model\n"},
        .after = {"\n\n", "<end_of_turn>\n", "<end_of_turn>\n"},
        .ask = "<start_of_turn>model\n",
        .end = "<end_of_turn>\n",
        .begins = true,
        .trims = true,
        .trims_joined = true,
        .joins = true,
    },
    {
        .name = "zephyr",
        .before = {"<|system|>\n", "<|user|>\n", "<|assistant|>\n"},
        .after = {"{eos}\n", "{eos}\n", "{eos}\n"},
        .ask = "<|assistant|>\n",
        .end = "{eos}\n",
    },
};

#define N_FORMATS (sizeof formats / sizeof formats[0])

const char *ink_chat_format_name(size_t i) { return i < N_FORMATS ? formats[i].name : NULL; }

const ink_chat_format_row *ink_chat_format_named(const char *name)
{
    for (size_t i = 0; i < N_FORMATS; i++)
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    return NULL;
}
