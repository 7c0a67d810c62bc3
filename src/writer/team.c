#include "writer/team.h"

#include "base/memory.h"
#include "base/thread.h"

typedef struct member {
  sf_team *team;
  pthread_t thread;
  uint32_t number;
} member;

struct sf_team {
  uint32_t size; /* the caller and the members that started */
  member *members;
  pthread_mutex_t mutex; /* guards all below */
  pthread_cond_t begin;
  pthread_cond_t end;
  uint64_t round; /* counts what was asked for */
  uint32_t busy;
  bool is_ending;
  sf_team_function work;
  void *context;
};

static void *run_member(void *argument) {
  member *self = argument;
  sf_team *team = self->team;
  uint64_t done = 0;
  pthread_mutex_lock(&team->mutex);
  while (true) {
    while (team->round == done && !team->is_ending)
      pthread_cond_wait(&team->begin, &team->mutex);
    if (team->is_ending)
      break;
    done = team->round;
    sf_team_function work = team->work;
    void *context = team->context;
    pthread_mutex_unlock(&team->mutex);
    work(context, self->number);
    pthread_mutex_lock(&team->mutex);
    if (--team->busy == 0)
      pthread_cond_signal(&team->end);
  }
  pthread_mutex_unlock(&team->mutex);
  return NULL;
}

sf_code sf_team_create(uint32_t num_threads, sf_team **created, sf_error *error) {
  sf_team *team = sf_calloc(1, sizeof(*team));
  member *members = sf_calloc(num_threads, sizeof(*members));
  if (team == NULL || members == NULL || pthread_mutex_init(&team->mutex, NULL) != 0 ||
      !sf_condition_init(&team->begin) || !sf_condition_init(&team->end)) {
    free(team);
    free(members);
    return sf_fail_memory(error, "threads");
  }
  team->members = members;
  team->size = 1;
  for (uint32_t i = 0; i + 1 < num_threads; i++) {
    members[i] = (member){.team = team, .number = i + 1};
    if (sf_thread_start(&members[i].thread, run_member, &members[i]) != 0)
      break;
    team->size++;
  }
  *created = team;
  return SF_OK;
}

void sf_team_free(sf_team *team) {
  if (team == NULL)
    return;
  pthread_mutex_lock(&team->mutex);
  team->is_ending = true;
  pthread_cond_broadcast(&team->begin);
  pthread_mutex_unlock(&team->mutex);
  for (uint32_t i = 0; i + 1 < team->size; i++)
    pthread_join(team->members[i].thread, NULL);
  pthread_cond_destroy(&team->begin);
  pthread_cond_destroy(&team->end);
  pthread_mutex_destroy(&team->mutex);
  free(team->members);
  free(team);
}

uint32_t sf_team_size(const sf_team *team) {
  return team->size;
}

void sf_team_run(sf_team *team, sf_team_function work, void *context) {
  pthread_mutex_lock(&team->mutex);
  team->work = work;
  team->context = context;
  team->busy = team->size - 1;
  team->round++;
  pthread_cond_broadcast(&team->begin);
  pthread_mutex_unlock(&team->mutex);
  work(context, 0);
  pthread_mutex_lock(&team->mutex);
  while (team->busy > 0)
    pthread_cond_wait(&team->end, &team->mutex);
  pthread_mutex_unlock(&team->mutex);
}
