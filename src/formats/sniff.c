/*
 * sniff.c - the first bytes of the files people have instead of a safetensors file.
 *
 * A safetensors file begins with the length of its header, at most 100,000,000 and so with zeros in bytes 4 to 7, and
 * its header begins with '{' or a space. Some of the beginnings below can be such a length; the header then decides.
 */
#include <stdbool.h>
#include <string.h>

#include "sniff.h"

typedef struct kind {
    const char *magic;
    size_t size;
    const char *what;
} kind;

static const kind kinds[] = {
    {"PK\003\004", 4, "a zip archive, as torch.save writes it; load it in Python and save it as safetensors"},
    {"\200\002\212\n", 4, "a Python pickle, as torch.save writes it; load it in Python and save it as safetensors"},
    {"\200\002}q", 4, "a Python pickle; load it in Python and save it as safetensors"},
    {"\200\004\225", 3, "a Python pickle; load it in Python and save it as safetensors"},
    {"GGUF", 4, "a GGUF file, which this library does not read"},
    {"\037\213\010", 3, "compressed by gzip; decompress it first"},
    {"version https://git-lfs", 23, "a git-lfs pointer: the file itself was not downloaded (git lfs pull)"},
    {"\211HDF", 4, "an HDF5 file, as Keras writes it, which this library does not read"},
    {"\223NUMPY", 6, "a NumPy array, which this library does not read"},
    {"<!", 2, "an HTML page, perhaps the error message of a download"},
    {"<h", 2, "an HTML page, perhaps the error message of a download"},
    {"<H", 2, "an HTML page, perhaps the error message of a download"},
    {"<?xml", 5, "an XML page, perhaps the error message of a download"},
    {"{\"", 2, "a JSON text"},
    {"{\n", 2, "a JSON text"},
    {"{ ", 2, "a JSON text"},
};

static bool may_be_safetensors(const unsigned char *bytes, size_t size)
{
    if (size < 9)
        return false;
    for (size_t i = 4; i < 8; i++)
        if (bytes[i] != 0)
            return false;
    return bytes[8] == '{' || bytes[8] == ' ' || bytes[8] == '\t' || bytes[8] == '\r' || bytes[8] == '\n';
}

const char *ink_sniff(const unsigned char *bytes, size_t size)
{
    if (may_be_safetensors(bytes, size))
        return NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (size >= kinds[i].size && memcmp(bytes, kinds[i].magic, kinds[i].size) == 0)
            return kinds[i].what;
    return NULL;
}
