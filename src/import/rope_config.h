/*
 * rope_config.h - the settings of rope in config.json.
 */
#ifndef INK_MODELS_ROPE_CONFIG_H
#define INK_MODELS_ROPE_CONFIG_H

#include "../models/kind.h"

/*
 * Reads rope_parameters or rope_scaling, and rope_theta: the old way of writing it and the new one. On entry
 * model->info.context_length is max_position_embeddings; it becomes how many positions this rope runs to: the types
 * that stretch a trained length by a factor go beyond it, and none goes beyond INK_ROPE_MAX_LENGTH.
 */
ink_result ink_rope_config_read(ink_config *config, size_t head_dim, ink_model *model, ink_rope *rope);

#endif
