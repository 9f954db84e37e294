/*
 * jinja.h - a small interpreter of Jinja, for chat templates.
 *
 *     text of a template -> operations (jinja_parse.c) -> run over values (jinja_run.c) -> text
 *
 * The language is that of Jinja2 3.1 as transformers sets it up: trim_blocks, lstrip_blocks, break and continue, the
 * tag `generation`, tojson without HTML escapes, values that cannot be changed. Not there: templates that include or
 * extend others, recursive loops, `do`, `autoescape`, `block`, `trans`.
 *
 * Every byte of a string knows where it comes from: from the template, or from the data that the template is run over.
 * The mark goes along through concatenation, slices, filters, methods, and captured blocks. So the caller can tell what
 * the template wrote from what somebody typed, however the two are mixed.
 *
 * A template comes from somebody else. Neither parsing nor running recurses in C; both keep stacks of their own. A run
 * has a bound for its steps (each operation is one, and each piece of work in a filter), for its memory, and for calls
 * within calls.
 *
 *     ink_jinja_parse(ctx, arena, "chat_template.jinja", text, size, &program);
 *
 *     ink_jinja run;
 *     ink_jinja_begin(&run, ctx, program, most_bytes, most_steps);
 *     ink_jinja_set(&run, "bos_token", 9, ink_jinja_text(&run, "<s>", 3, false));
 *     ink_jinja_set(&run, "messages", 8, messages);
 *     ink_jinja_render(&run);                        run.out is the text
 *     ink_jinja_end(&run);                           gives the memory back
 */
#ifndef INK_TEXT_JINJA_H
#define INK_TEXT_JINJA_H

#include "../base/internal.h"

/* ---- values ----------------------------------------------------------------------------------------------------- */

typedef enum ink_jinja_kind {
    INK_JINJA_MISSING,   /* an argument that nobody gave */
    INK_JINJA_UNDEFINED, /* `text` is its name */
    INK_JINJA_NONE,
    INK_JINJA_BOOL,
    INK_JINJA_INT,
    INK_JINJA_FLOAT,
    INK_JINJA_TEXT,
    INK_JINJA_LIST,
    INK_JINJA_TUPLE,
    INK_JINJA_DICT,
    INK_JINJA_NAMESPACE,
    INK_JINJA_LOOP,
    INK_JINJA_MACRO,
    INK_JINJA_FUNCTION, /* `which` of the table; `object` is what it remembers */
    INK_JINJA_METHOD    /* `which` of the table; `object` is the value it belongs to */
} ink_jinja_kind;

/* A string of UTF-8. Bytes that are not UTF-8 count as characters. */
typedef struct ink_jinja_string {
    const char *at; /* [size] */
    const uint8_t
        *data; /* [size] 1 for a byte that comes from the data, 0 from the template; NULL: all are as `is_data` */
    uint32_t size;
    uint32_t n_chars;
    bool is_data;
    bool is_safe; /* the filters safe and escape made it: what is joined to it is escaped */
} ink_jinja_string;

typedef struct ink_jinja_value ink_jinja_value;
typedef struct ink_jinja_loop ink_jinja_loop;
typedef struct ink_jinja_scope ink_jinja_scope;

typedef struct ink_jinja_list {
    const ink_jinja_value *items; /* [n] */
    size_t n;
} ink_jinja_list;

/* A dict in the order of insertion, or a namespace. */
typedef struct ink_jinja_dict {
    ink_jinja_value *pairs; /* [capacity][2] key and value */
    size_t n, capacity;
} ink_jinja_dict;

/* Name, parameters and code of a macro. */
typedef struct ink_jinja_macro {
    uint32_t name, start;
    const uint32_t *parameters; /* [n_parameters] names */
    uint32_t n_parameters;
    bool takes_more, takes_keywords; /* it uses varargs, kwargs */
} ink_jinja_macro;

/* A macro, and the scope in which it was defined. */
typedef struct ink_jinja_closure {
    const ink_jinja_macro *macro;
    ink_jinja_scope *scope;
} ink_jinja_closure;

struct ink_jinja_value {
    ink_jinja_kind kind;
    uint32_t which;
    union {
        bool truth;
        int64_t integer;
        double number;
        const ink_jinja_string *text;
        const ink_jinja_list *list;
        ink_jinja_dict *dict;
        ink_jinja_loop *loop;
        ink_jinja_closure *closure;
        const void *object;
    };
};

struct ink_jinja_loop {
    const ink_jinja_value *items; /* [n] */
    size_t n, index;              /* the current item is items[index - 1] */
    ink_jinja_loop *outer;
    ink_jinja_scope *scope, *inner; /* around the loop, and of the item before */
    ink_jinja_value *kept;          /* [n_kept] of a loop that filters; else NULL */
    size_t n_kept;
    ink_jinja_value changed; /* what loop.changed() saw last */
};

/* ---- programs --------------------------------------------------------------------------------------------------- */

/* An operation. Each names the one after it, so that code can be put together in any order. */
typedef struct ink_jinja_op {
    uint8_t code, flags;
    uint16_t n;   /* of values it takes */
    uint32_t arg; /* a constant, a name, an operator, a row of a table */
    uint32_t next;
    uint32_t other; /* where a jump leads */
    uint32_t line;
} ink_jinja_op;

#define INK_JINJA_NONE_NEXT UINT32_MAX

typedef enum ink_jinja_code {
    INK_OP_NOTHING,
    INK_OP_END,
    INK_OP_WRITE,        /* constant `arg` */
    INK_OP_PRINT,        /* x -> */
    INK_OP_CONSTANT,     /* -> constant `arg` */
    INK_OP_UNDEFINED,    /* -> undefined */
    INK_OP_LOAD,         /* -> the variable `arg` */
    INK_OP_STORE,        /* x ->  into the variable `arg` */
    INK_OP_STORE_MEMBER, /* x ->  into member `other` of the namespace `arg` */
    INK_OP_UNPACK,       /* x -> its n items, the first on top */
    INK_OP_LIST,         /* n items -> list; flags: tuple */
    INK_OP_DICT,         /* n pairs -> dict */
    INK_OP_MEMBER,       /* x -> x.name */
    INK_OP_ITEM,         /* x y -> x[y] */
    INK_OP_SLICE,        /* x a b c -> x[a:b:c] */
    INK_OP_CALL,         /* f x... -> f(x...) */
    INK_OP_FILTER,       /* x y... -> x|filter(y...); arg: its name */
    INK_OP_TEST,         /* x y... -> x is test(y...); arg: its name */
    INK_OP_NEGATE,       /* flags: 1 for + */
    INK_OP_NOT,
    INK_OP_BINARY,  /* x y -> x op y */
    INK_OP_COMPARE, /* x y -> x op y */
    INK_OP_CHAIN,   /* x y -> y, and on; or false, and jump */
    INK_OP_AND,     /* x -> , and on; or x, and jump */
    INK_OP_OR,
    INK_OP_UNLESS, /* x ->  jump if it is false */
    INK_OP_SCOPE,  /* a new scope */
    INK_OP_UNSCOPE,
    INK_OP_CAPTURE,  /* what is written is kept */
    INK_OP_CAPTURED, /* -> it as a string */
    INK_OP_FOR,      /* x ->  begins a loop; flags: a loop that filters */
    INK_OP_NEXT,     /* -> the next item in a scope of its own; or jump */
    INK_OP_KEEP,     /* x ->  keeps the item if x is true */
    INK_OP_KEPT,     /* -> the list of items that were kept; the end of the loop */
    INK_OP_DONE,     /* the end of a loop; jump if there was no item */
    INK_OP_BREAK,    /* the same in the middle */
    INK_OP_MACRO,    /* -> macro `arg` */
    INK_OP_DEFAULT,  /* jump if the parameter `arg` has a value */
    INK_OP_RETURN    /* from a macro */
} ink_jinja_code;

/* Flags of CALL, FILTER and TEST: what is on the stack behind n positional values. Each keyword is its name and a
   value; `other` counts them. */
enum { INK_JINJA_STAR = 1, INK_JINJA_STAR_STAR = 2, INK_JINJA_CALLER = 4 };

typedef enum ink_jinja_operator {
    INK_JINJA_ADD,
    INK_JINJA_SUB,
    INK_JINJA_JOIN,
    INK_JINJA_MUL,
    INK_JINJA_DIV,
    INK_JINJA_FLOOR_DIV,
    INK_JINJA_MOD,
    INK_JINJA_POW,
    INK_JINJA_EQ,
    INK_JINJA_NE,
    INK_JINJA_LT,
    INK_JINJA_LE,
    INK_JINJA_GT,
    INK_JINJA_GE,
    INK_JINJA_IN,
    INK_JINJA_NOT_IN
} ink_jinja_operator;

/* Names that every program has, as the first ones. */
enum { INK_JINJA_LOOP_NAME, INK_JINJA_CALLER_NAME, INK_JINJA_VARARGS, INK_JINJA_KWARGS };

/* An immutable template. */
typedef struct ink_jinja_program {
    const char *file; /* for messages */
    const ink_jinja_op *ops;
    size_t n_ops;
    const ink_jinja_value *constants;
    const ink_jinja_value *names; /* [n_names] texts */
    size_t n_names;
    const ink_jinja_macro *macros;
    uint32_t start;
} ink_jinja_program;

/* Parses a template. The program lives in `arena` (growing), `file` is kept, `text` is not. INK_ERROR_CORRUPT with the
   line; INK_ERROR_UNSUPPORTED for a tag that is not there; INK_ERROR_LIMIT; INK_ERROR_MEMORY. */
ink_result ink_jinja_parse(ink_context *ctx, ink_arena *arena, const char *file, const char *text, size_t size,
                           ink_jinja_program *program);

/* ---- running ---------------------------------------------------------------------------------------------------- */

#define INK_JINJA_DEPTH 64  /* of values in values */
#define INK_JINJA_CALLS 128 /* of macros in macros, and of loops in loops */

/* A local time, for strftime_now. */
typedef struct ink_jinja_time {
    int year, month, day, hour, minute, second;
} ink_jinja_time;

typedef struct ink_jinja {
    ink_context *ctx;
    const ink_jinja_program *program;
    ink_jinja_time now;
    ink_arena_mark mark;
    size_t left;    /* bytes */
    uint64_t steps; /* that are left */
    char *block;    /* [block_left] small allocations are cut from it */
    size_t block_left;
    uint32_t line; /* of the operation that runs */

    char *out;         /* [n_out] what is written, of out_room */
    uint8_t *out_data; /* [n_out] 1 for bytes of the data */
    size_t n_out, out_room;

    ink_jinja_value *stack; /* [n_stack] of stack_room */
    size_t n_stack, stack_room;
    struct ink_jinja_frame *frames; /* [n_frames] */
    size_t n_frames;
    ink_jinja_scope *scope;
    ink_jinja_loop *loop;
    size_t nested; /* filters that a filter runs */
} ink_jinja;

/* Begins a run with scratch memory of the context, at most `bytes`, and at most `steps`. */
ink_result ink_jinja_begin(ink_jinja *run, ink_context *ctx, const ink_jinja_program *program, size_t bytes,
                           uint64_t steps);

/* Sets a variable of the template. A name that the template does not have costs nothing. */
ink_result ink_jinja_set(ink_jinja *run, const char *name, size_t size, ink_jinja_value value);

/* Runs the template. INK_ERROR_ARGUMENT: raise_exception; INK_ERROR_MISMATCH: the values are not what the template
   needs; INK_ERROR_UNSUPPORTED: a filter or test that is not there; INK_ERROR_LIMIT, INK_ERROR_MEMORY. All with the
   line of the template. */
ink_result ink_jinja_render(ink_jinja *run);

/* Releases the memory of the run; returns `result`. */
ink_result ink_jinja_end(ink_jinja *run, ink_result result);

/* ---- values, for those that make them --------------------------------------------------------------------------- */

/* Memory of the run, at a multiple of 16; NULL, with a sentence, beyond the limit. */
void *ink_jinja_alloc(ink_jinja *run, size_t count, size_t size);
ink_result ink_jinja_failed(const ink_jinja *run); /* what ink_jinja_alloc() failed with */

/* A string over bytes that live as long as the run, [size]; fails with MISSING. */
ink_jinja_value ink_jinja_text(ink_jinja *run, const char *at, size_t size, bool is_data);

/* Puts a pair into a dict: a new one, or in place of that with an equal key. */
ink_result ink_jinja_put_pair(ink_jinja *run, ink_jinja_dict *dict, ink_jinja_value key, ink_jinja_value value);

/* An empty dict or namespace, and a list of items that are not copied; fail with MISSING. */
ink_jinja_value ink_jinja_new_dict(ink_jinja *run, ink_jinja_kind kind, size_t capacity);
ink_jinja_value ink_jinja_new_list(ink_jinja *run, ink_jinja_kind kind, const ink_jinja_value *items, size_t n);

static inline ink_jinja_value ink_jinja_bool(bool truth)
{
    return (ink_jinja_value){.kind = INK_JINJA_BOOL, .truth = truth};
}
static inline ink_jinja_value ink_jinja_int(int64_t integer)
{
    return (ink_jinja_value){.kind = INK_JINJA_INT, .integer = integer};
}
static inline ink_jinja_value ink_jinja_float(double number)
{
    return (ink_jinja_value){.kind = INK_JINJA_FLOAT, .number = number};
}
static inline ink_jinja_value ink_jinja_none(void) { return (ink_jinja_value){.kind = INK_JINJA_NONE}; }

/* ---- inside the interpreter ------------------------------------------------------------------------------------- */

/* Takes steps. */
ink_result ink_jinja_spend(ink_jinja *run, size_t steps);

/* Writes bytes. What is written between two places of n_out becomes a string by ink_jinja_cut(), and is no longer
   there. */
ink_result ink_jinja_write(ink_jinja *run, const char *at, size_t size, bool is_data);
ink_result ink_jinja_write_string(ink_jinja *run, const ink_jinja_string *text, size_t start, size_t stop);
ink_result ink_jinja_cut(ink_jinja *run, size_t from, ink_jinja_value *text);

/* A part of a string: bytes from start to stop. */
ink_result ink_jinja_part(ink_jinja *run, const ink_jinja_string *text, size_t start, size_t stop,
                          ink_jinja_value *part);

/* jinja_write.c. How a value is written: as print does it, as in a list, as JSON. */
typedef struct ink_jinja_style {
    bool json, as_it_is; /* as_it_is: a string outside of everything has no quotes */
    bool ascii, sorted;
    const ink_jinja_string *item, *key; /* between items, and behind a key; NULL: ", " and ": " */
    const ink_jinja_string *indent;     /* of each level; NULL: all in one line */
} ink_jinja_style;

ink_result ink_jinja_write_value(ink_jinja *run, ink_jinja_value value, const ink_jinja_style *style);
ink_result ink_jinja_print(ink_jinja *run, ink_jinja_value value); /* as {{ }} does it */
ink_result ink_jinja_to_text(ink_jinja *run, ink_jinja_value value, ink_jinja_value *text);
ink_result ink_jinja_percent(ink_jinja *run, const ink_jinja_string *format, ink_jinja_value args,
                             ink_jinja_value *text);
ink_result ink_jinja_strftime(ink_jinja *run, const ink_jinja_string *format, ink_jinja_value *text);
double ink_jinja_round(double x, int64_t digits); /* half to even, as Python */

/* jinja_run.c. */
double ink_jinja_floor(double x);
ink_result ink_jinja_undefined(ink_jinja *run, ink_jinja_value value); /* INK_ERROR_MISMATCH: 'x' is undefined */
const char *ink_jinja_kind_name(ink_jinja_value value);
bool ink_jinja_truth(ink_jinja_value value);
ink_result ink_jinja_equal(ink_jinja *run, ink_jinja_value a, ink_jinja_value b, bool *equal);
ink_result ink_jinja_order(ink_jinja *run, ink_jinja_value a, ink_jinja_value b, int *order);
/* The first or last place of a string in bytes start to stop of another; SIZE_MAX: none. It takes steps for what it
   compares, which can be the product of both sizes. */
ink_result ink_jinja_place(ink_jinja *run, const ink_jinja_string *text, size_t start, size_t stop,
                           const ink_jinja_string *what, bool last, size_t *at);
ink_result ink_jinja_contains(ink_jinja *run, ink_jinja_value container, ink_jinja_value item, bool *found);
ink_result ink_jinja_compare(ink_jinja *run, ink_jinja_operator op, ink_jinja_value a, ink_jinja_value b, bool *truth);
ink_result ink_jinja_binary(ink_jinja *run, ink_jinja_operator op, ink_jinja_value a, ink_jinja_value b,
                            ink_jinja_value *value);
/* The value of a key that is a string, or NULL. */
const ink_jinja_value *ink_jinja_find(const ink_jinja_dict *dict, const ink_jinja_string *key);

/* The items of anything that a loop can go over. */
ink_result ink_jinja_items(ink_jinja *run, ink_jinja_value value, ink_jinja_list *items);
ink_result ink_jinja_item(ink_jinja *run, ink_jinja_value of, ink_jinja_value key, ink_jinja_value *item);
ink_result ink_jinja_member(ink_jinja *run, ink_jinja_value of, const ink_jinja_value *name, ink_jinja_value *member);

/* jinja_builtins.c. The arguments of a call: positional, then pairs of keywords. */
typedef struct ink_jinja_call {
    ink_jinja_value self;
    const ink_jinja_value *args;     /* [n_args] */
    const ink_jinja_value *keywords; /* [n_keywords][2] name and value */
    size_t n_args, n_keywords;
} ink_jinja_call;

/* Python's str.format(). */
ink_result ink_jinja_format(ink_jinja *run, const ink_jinja_string *format, const ink_jinja_call *call,
                            ink_jinja_value *text);

/* The order of keys [n], smallest first or last; equal ones stay in their order. */
ink_result ink_jinja_sort(ink_jinja *run, const ink_jinja_value *keys, size_t n, bool reverse, uint32_t **order);

ink_result ink_jinja_filter(ink_jinja *run, const ink_jinja_string *name, const ink_jinja_call *call,
                            ink_jinja_value *value);
ink_result ink_jinja_test(ink_jinja *run, const ink_jinja_string *name, const ink_jinja_call *call, bool *truth);
/* A function or a method. */
ink_result ink_jinja_apply(ink_jinja *run, ink_jinja_value function, const ink_jinja_call *call,
                           ink_jinja_value *value);
/* UNDEFINED if there is none. */
ink_jinja_value ink_jinja_global(const ink_jinja_string *name);
ink_jinja_value ink_jinja_method(ink_jinja_value of, const ink_jinja_string *name);

/* White space as Python's str.isspace() has it. */
bool ink_jinja_is_space(uint32_t code);

static inline bool ink_jinja_named(const ink_jinja_string *text, const char *name)
{
    return text->size == strlen(name) && memcmp(text->at, name, text->size) == 0;
}

#endif
