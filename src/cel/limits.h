/*
 * Every bound on what an expression may cost, in one place. The language asks for at least 32 repetitions and 12 nested
 * levels (langdef, "Syntax"); these leave room above that, and keep time, memory and stack small for any input.
 */
#ifndef SF_CEL_LIMITS_H
#define SF_CEL_LIMITS_H

/* Compiling. */
#define SF_CEL_MAX_SOURCE_BYTES 65536
#define SF_CEL_MAX_DEPTH 250             /* of brackets, and of the tree that is checked and evaluated by recursion */
#define SF_CEL_MAX_LITERAL_BYTES 16384   /* of one string or bytes literal, decoded */
#define SF_CEL_MAX_LITERAL_ELEMENTS 8192 /* of one list literal, or entries of one map literal */
#define SF_CEL_MAX_ARGUMENTS 64          /* of one call */
#define SF_CEL_MAX_DECLARATIONS 1024
#define SF_CEL_MAX_TYPE_STEPS 4000000 /* a step is a look at one part of a type */
#define SF_CEL_MAX_PROGRAM_BYTES (32 << 20)

/* Evaluating. A step is a visited node of the tree, or as much work in a function (see the charges there). */
#define SF_CEL_MAX_STEPS 1000000
#define SF_CEL_MAX_MEMORY_BYTES (16 << 20)
#define SF_CEL_MAX_BINDING_DEPTH 64   /* of lists and maps in one another, in a variable's value */
#define SF_CEL_BYTES_PER_STEP 64      /* bytes that a function may look at for one step */
#define SF_CEL_FIRST_BLOCK_BYTES 1024 /* of an evaluation's memory, allocated with the result itself */

/* Regular expressions. Repeats are RE2's own bound. */
#define SF_CEL_MAX_PATTERN_BYTES 1024
#define SF_CEL_MAX_PATTERN_DEPTH 64
#define SF_CEL_MAX_PATTERN_REPEAT 1000
#define SF_CEL_MAX_SUBJECT_BYTES 16384
#define SF_CEL_MATCH_LIMIT 1000000
#define SF_CEL_MATCH_DEPTH_LIMIT 200000
#define SF_CEL_MATCH_HEAP_KIB 16384

#endif
